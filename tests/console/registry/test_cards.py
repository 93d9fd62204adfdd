"""Model files as cards: what a card shows, covers, bulk changes, and what an operator does about problems."""

import io

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from PIL import Image

from console.registry.files.remedies import DENIED, MISSING, remedy
from console.registry.usage import usage_of
from jobs.admission.admit import admit
from models_registry import tasks
from models_registry.models import Kind, ModelCover, ModelFile

LIST = "/admin/models_registry/checkpoint/"
DEMO_LICENSE = "CC-BY-NC-4.0"


def picture(color: str) -> SimpleUploadedFile:
    buffer = io.BytesIO()
    Image.new("RGB", (640, 480), color).save(buffer, "PNG")
    return SimpleUploadedFile("cover.png", buffer.getvalue(), content_type="image/png")


@pytest.fixture
def files(db, checkpoint):
    ModelFile.objects.filter(pk=checkpoint.pk).update(
        tags=["night", "风景"], licence=DEMO_LICENSE, commercial_use="no", version_of="Shapes"
    )
    broken = ModelFile.objects.create(
        kind=Kind.CHECKPOINT,
        name="zz-broken",
        path="checkpoints/zz.safetensors",
        problem="Not usable: its weights are quantized (x), which is not supported",
    )
    other = ModelFile.objects.create(
        kind=Kind.CHECKPOINT, name="aa", path="checkpoints/aa.safetensors", version_of="Shapes"
    )
    return checkpoint, broken, other


def test_card_shows_tags_license_and_versions_and_problems_stand_on_top(ops, files):
    text = ops.get(f"{LIST}?view=cards", follow=True).content.decode()
    assert 'id="model-cards"' in text
    assert all(word in text for word in ("风景", DEMO_LICENSE, "no commercial use", "Shapes (2 versions)"))
    assert text.index("zz-broken") < text.index(">aa<")
    assert "fp16 or bf16 edition" in text
    table = ops.get(f"{LIST}?view=table&q=zz", follow=True).content.decode()
    assert "result_list" in table
    assert "fp16 or bf16 edition" in table
    assert "result_list" in ops.get(LIST).content.decode()  # remembered


def test_files_are_found_by_tag(ops, files):
    for query in ("q=风景", "tag=风景"):
        text = ops.get(f"{LIST}?{query}").content.decode()
        assert ("shapes" in text, "zz-broken" in text) == (True, False), query


def test_number_of_queries_does_not_grow_with_the_files(ops, files, django_assert_max_num_queries):
    def queries() -> int:
        with django_assert_max_num_queries(100) as captured:
            ops.get(LIST)
        return len(captured)

    queries()
    before = queries()
    for number in range(12):
        path = f"checkpoints/{number}.safetensors"
        ModelFile.objects.create(kind=Kind.CHECKPOINT, name=f"n{number}", path=path, version_of="Shapes")
    assert queries() == before


def test_several_files_are_changed_at_once(ops, act, files, source):
    checkpoint, _broken, other = files
    page = act("models_registry/checkpoint", "change_several", checkpoint, other)
    assert "Change 2 files" in page.content.decode()
    address = f"{LIST}bulk/?ids={checkpoint.pk},{other.pk}"
    assert "Choose what to change" in ops.post(address, {}).content.decode()
    form = {"add_tags": "day，夜", "remove_tags": "night", "commercial_use": "yes", "access": source.pk}
    assert ops.post(address, form).status_code == 302
    for file in (checkpoint, other):
        file.refresh_from_db()
        assert (set(file.tags) >= {"day", "夜"}, "night" in file.tags) == (True, False)
        assert file.commercial_use == "yes"
        assert list(file.allowed_sources.all()) == [source]
        assert set(file.edited_fields) >= {"tags", "commercial_use"}
    ops.post(address, {"access": "all"})
    assert not other.allowed_sources.exists()


@pytest.mark.parametrize("ids", ["", "x", "1,2;", "9" * 40, ",".join("1" for _ in range(600))])
def test_bulk_change_of_odd_ids_is_refused(ops, db, ids):
    assert ops.get(f"{LIST}bulk/", {"ids": ids}).status_code == 400


@pytest.mark.parametrize("role", ["viewer", "tenant"])
def test_only_operators_change_several_files_or_covers(sign_in, files, source, role):
    client = sign_in(role, *([source] if role == "tenant" else []))
    assert client.get(f"{LIST}bulk/?ids={files[0].pk}").status_code == 403
    assert client.post(f"{LIST}{files[0].pk}/cover/set/", {"image": picture("red")}).status_code == 403


def test_edited_fields_are_remembered(ops, files):
    checkpoint = files[0]
    form = {"name": "shapes", "cost_multiplier": "1", "enabled": "on", "commercial_use": "no"}
    form |= {"tags": "a, b", "licence": DEMO_LICENSE, "version_of": "Shapes", "default_sampler": "Euler a"}
    form |= {"default_width": "512", "default_height": "768", "default_steps": "8"}
    assert ops.post(f"{LIST}{checkpoint.pk}/change/", form).status_code == 302
    saved = ModelFile.objects.get(pk=checkpoint.pk)
    assert (saved.tags, saved.default_steps, saved.default_sampler) == (["a", "b"], 8, "Euler a")
    assert saved.edited_fields == [
        "default_height",
        "default_sampler",
        "default_steps",
        "default_width",
        "tags",
    ]
    for wrong in ({"default_height": ""}, {"default_width": "513"}, {"prompt_prefix": "<lora:a:1>"}):
        assert ops.post(f"{LIST}{checkpoint.pk}/change/", form | wrong).status_code == 200, wrong


def test_uploaded_cover_is_shown_until_it_is_removed(ops, files):
    page = f"{LIST}{files[0].pk}/"
    assert ops.get(f"{page}cover/").status_code == 404
    ops.post(f"{page}cover/set/", {"image": picture("red")})
    shown = ops.get(f"{page}cover/")
    image = Image.open(io.BytesIO(shown.content))
    assert (shown["Content-Type"], image.size) == ("image/jpeg", (512, 384))
    assert image.getpixel((9, 9))[0] > 240
    assert ops.get(f"{page}cover/", headers={"If-None-Match": shown["ETag"]}).status_code == 304
    assert f"{files[0].pk}/cover/?v=" in ops.get(LIST).content.decode()
    no_image = SimpleUploadedFile("cover.png", b"no image", content_type="image/png")
    refused = ops.post(f"{page}cover/set/", {"image": no_image}, follow=True)
    assert "not an image file" in refused.content.decode()
    assert ModelCover.objects.count() == 1
    ops.post(f"{page}cover/set/")
    assert not ModelCover.objects.exists()


def test_tenant_sees_covers_of_its_files_only(sign_in, files, source, other_source):
    ModelCover.store(files[0], ModelCover.Origin.UPLOAD, b"jpeg")
    files[0].allowed_sources.set([source])
    assert sign_in("tenant", source).get(f"{LIST}{files[0].pk}/cover/").status_code == 200
    client = sign_in("finance", other_source)
    assert client.get(f"{LIST}{files[0].pk}/cover/").status_code in (302, 403, 404)


def test_tenant_with_commercial_use_only_sees_permitted_files(sign_in, files, source):
    client = sign_in("tenant", source)
    assert "shapes" in client.get(LIST).content.decode()
    type(source).objects.update(commercial_models_only=True)
    assert "shapes" not in client.get(LIST).content.decode()


def test_selected_files_are_inspected_again(act, files, settings, tmp_path):
    settings.MODELS_ROOT = tmp_path
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "aa.safetensors").write_bytes(b"cut off")
    assert tasks.inspect_again([file.pk for file in files]) == 1
    assert "Not usable" in ModelFile.objects.get(name="aa").problem
    assert "queued" in act("models_registry/checkpoint", "inspect_again", *files).content.decode()


def test_every_reason_has_a_remedy(settings):
    def advice(**fields) -> str:
        return str(remedy(ModelFile(**fields)))

    assert advice() == ""
    assert advice(missing_since=timezone.now()) == str(MISSING)
    assert advice(problem="Permission denied when reading the file.") == str(DENIED)
    assert "safetensors edition" in advice(problem="Not usable: it would call os.system when unpickled")
    assert "copy it again" in advice(problem="Not usable: truncated ONNX file")


def test_page_of_a_checkpoint_counts_its_jobs_by_source(ops, files, submission, other_source):
    for _number in range(3):
        admit(submission())
    Runner = files[0].runners.model
    Runner.objects.create(name="gpu", url="http://127.0.0.1:9", load_seconds={files[0].sha256: 2.5})
    assert usage_of(files[0]).jobs == [("shop", 3)]
    assert usage_of(files[2]).job_count == 0
    text = ops.get(f"{LIST}{files[0].pk}/change/").content.decode()
    assert "shop 3" in text
    assert "gpu 2.5 s" in text
