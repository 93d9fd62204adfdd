"""Model files in the console: lists, editable fields, defaults and scans."""

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from models_registry import tasks
from models_registry.models import FOLDERS, Kind, ModelFile, ScanRun

pytestmark = pytest.mark.slow

LIST = "/admin/models_registry/checkpoint/"


@pytest.fixture
def other_checkpoint(db):
    return ModelFile.objects.create(kind=Kind.CHECKPOINT, name="dream", path="checkpoints/dream.safetensors")


def edit(ops, file, **fields):
    form = {"name": file.name, "cost_multiplier": "1", "enabled": "on", "allowed_sources": []}
    form |= {"commercial_use": file.commercial_use} | fields
    return ops.post(f"{LIST}{file.pk}/change/", form)


def test_each_kind_has_its_own_list(ops, checkpoint):
    assert "shapes" in ops.get(LIST).content.decode()
    assert "shapes" not in ops.get("/admin/models_registry/lora/").content.decode()
    assert "shapes" in ops.get("/admin/models_registry/modelfile/").content.decode()


@pytest.mark.parametrize("kind", [Kind.FACE_DETECTOR, Kind.FACE_RESTORER])
def test_face_models_have_their_own_lists(ops, db, kind):
    page = f"/admin/models_registry/{kind.replace('_', '')}/"
    file = ModelFile.objects.create(
        kind=kind, name="mine", path=f"{FOLDERS[kind]}/mine.onnx", sha256="ab" * 32
    )
    assert "mine" in ops.get(page).content.decode()
    text = ops.get(f"{page}{file.pk}/change/").content.decode()
    assert (str(Kind(kind).label) in text, file.path in text) == (True, True)
    assert page in ops.get("/admin/").content.decode()
    assert f'value="{kind}"' in ops.get(f"{page}upload/").content.decode()


def test_scanned_fields_are_read_only(ops, checkpoint):
    edit(ops, checkpoint, path="elsewhere", sha256="0" * 64, licence="MIT")
    saved = ModelFile.objects.get()
    assert (saved.path, saved.sha256, saved.licence) == (checkpoint.path, checkpoint.sha256, "MIT")


def test_duplicate_name_is_refused(ops, checkpoint, other_checkpoint):
    response = edit(ops, other_checkpoint, name="shapes")
    assert "name" in response.context["adminform"].form.errors


def test_each_kind_has_one_default(ops, act, checkpoint, other_checkpoint):
    edit(ops, other_checkpoint, is_default="on")
    assert [file.name for file in ModelFile.objects.filter(is_default=True)] == ["dream"]
    act("models_registry/checkpoint", "make_default", checkpoint)
    assert [file.name for file in ModelFile.objects.filter(is_default=True)] == ["shapes"]


@pytest.mark.parametrize("kind", [Kind.LORA, Kind.CONTROLNET, Kind.EMBEDDING])
def test_kind_whose_default_would_have_no_effect_has_no_default(ops, act, db, kind):
    file = ModelFile.objects.create(kind=kind, name="mine", path=f"{FOLDERS[kind]}/mine.safetensors")
    page = f"/admin/models_registry/{kind}/"
    for address in (page, f"{page}{file.pk}/change/", f"/admin/models_registry/modelfile/{file.pk}/change/"):
        text = ops.get(address).content.decode()
        assert not any(name in text for name in ("is_default", "make_default")), address
    for name in (kind, "modelfile"):
        act(f"models_registry/{name}", "make_default", file)
    assert not ModelFile.objects.filter(is_default=True).exists()


def test_several_files_are_enabled_and_disabled(act, checkpoint, other_checkpoint):
    act("models_registry/checkpoint", "disable", checkpoint, other_checkpoint)
    assert not ModelFile.objects.filter(enabled=True)
    act("models_registry/checkpoint", "enable", checkpoint)
    assert ModelFile.objects.get(enabled=True) == checkpoint


def test_scan_button_queues_a_scan_for_an_empty_registry(ops, db):
    assert "Scan now" in ops.get(LIST).content.decode()
    assert ops.post(f"{LIST}scan/").status_code == 302
    assert OrmQ.objects.get().task["func"] == "models_registry.tasks.scan"


def test_get_request_cannot_start_a_scan(ops, db):
    assert ops.get(f"{LIST}scan/").status_code == 403
    assert not OrmQ.objects.exists()


def test_running_scan_is_not_started_twice(ops, db):
    ops.post(f"{LIST}scan/")
    ops.post(f"{LIST}scan/")
    assert OrmQ.objects.count() == 1


def test_list_shows_the_progress_of_a_scan(ops, db):
    progress = lambda: ops.get(f"{LIST}scan/progress/").json()  # noqa: E731
    assert progress() == {"under_way": False, "text": ""}
    ops.post(f"{LIST}scan/")
    assert progress()["text"] == "The scan is waiting for the background cluster."
    run = ScanRun.newest()
    run.begin(4)
    ScanRun.objects.update(files_done=3, current="loras/night.safetensors")
    assert progress() == {
        "under_way": True,
        "done": 3,
        "files": 4,
        "text": "Scanning: 3 of 4 files. loras/night.safetensors",
    }


def test_queued_scan_runs_in_the_background_and_stores_its_summary(ops, db, settings, tmp_path):
    settings.MODELS_ROOT = tmp_path
    ops.post(f"{LIST}scan/")
    task = OrmQ.objects.get().task
    tasks.scan(*task["args"])
    assert ops.get(f"{LIST}scan/progress/").json()["text"] == "Last scan: no files"
    assert ScanRun.objects.count() == 1


def test_summary_of_a_scan_is_translated(ops, db):
    run = ScanRun.objects.create()
    run.begin(4)
    run.end("added 3, problems 1")
    progress = ops.get(f"{LIST}scan/progress/", headers={"Accept-Language": "zh-hans"}).json()
    assert progress["text"] == "上次扫描：新增 3, 有问题 1"


def test_aliases_are_edited_one_per_line(ops, checkpoint):
    edit(ops, checkpoint, aliases="majicmixRealistic_v7.safetensors\n my old model ")
    assert ModelFile.objects.get().aliases == ["majicmixRealistic_v7.safetensors", "my old model"]
    assert "_v7.safetensors\nmy old model<" in ops.get(f"{LIST}{checkpoint.pk}/change/").content.decode()


def test_scan_of_a_missing_folder_fails_with_its_path(ops, db, settings, tmp_path):
    settings.MODELS_ROOT = tmp_path / "unmounted"
    ops.post(f"{LIST}scan/")
    with pytest.raises(FileNotFoundError):
        tasks.scan(ScanRun.newest().pk)
    assert "unmounted" in ops.get(f"{LIST}scan/progress/").json()["text"]


def test_killed_scan_does_not_block_the_next_one(ops, db):
    ops.post(f"{LIST}scan/")
    ScanRun.objects.update(moved_at=timezone.now() - ScanRun.TIMEOUT)
    assert "interrupted" in ops.get(f"{LIST}scan/progress/").json()["text"]
    ops.post(f"{LIST}scan/")
    assert ScanRun.objects.count() == 2


def test_page_of_a_lora_tells_what_is_not_used(ops, db):
    file = ModelFile.objects.create(
        kind=Kind.LORA, name="night", path="loras/night.safetensors", left_out="2: motion_a, motion_b",
        bundled_embeddings=["plum"],
    )  # fmt: skip
    page = ops.get(f"/admin/models_registry/lora/{file.pk}/change/").content.decode()
    assert "2: motion_a, motion_b" in page
    assert "plum" in page


def test_page_of_a_checkpoint_tells_that_it_has_no_vae(ops, db):
    file = ModelFile.objects.create(
        kind=Kind.CHECKPOINT, name="bare", path="checkpoints/bare.safetensors", without_vae=True
    )
    page = ops.get(f"/admin/models_registry/checkpoint/{file.pk}/change/").content.decode()
    assert "Without VAE" in page or "without VAE" in page
