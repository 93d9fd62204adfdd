"""Models that clients load from URLs, verify and delete."""

import json

import pytest

from access.models import AccessKey
from jobs.model_intake.worker import run_next
from jobs.models import IntakeState, ModelIntake
from models_registry.models import Kind, ModelFile
from models_registry.selectors import resolve
from tests.support.model_files_server import demo_file, work
from tests.support.web_server import answer, redirect

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

LORA = demo_file("loras/atelier-night.safetensors")


@pytest.fixture(autouse=True)
def models_root(settings, tmp_path):
    settings.MODELS_ROOT = tmp_path / "models"
    settings.MODELS_ROOT.mkdir()
    return settings.MODELS_ROOT


@pytest.fixture
def files(web):
    web.answers["/night.safetensors"] = answer(200, LORA)
    return web


@pytest.fixture
def load(manager, files):
    """Starts to load the LoRA, and lets the background cluster work. The response, whose status is success."""

    def load(path="v1/enterprise/load_model", *, run=True, **body):
        body = {"url": files.url("/night.safetensors"), "model_id": "midnight"} | body
        response = manager.call(path, **body)
        assert response["status"] == "success", response
        if run:
            work()
        return response

    return load


@pytest.fixture
def refused(manager, files):
    """The error of a request that must be refused at once."""

    def refused(path="v1/enterprise/load_model", **body):
        body = {"url": files.url("/night.safetensors"), "model_id": "midnight"} | body
        response = manager.call(path, **body)
        assert response["status"] == "error", response
        assert not ModelIntake.objects.exists()
        return response["message"]

    return refused


def failure(manager, name="midnight"):
    response = manager.call("v1/enterprise/verify_model", model_id=name)
    assert response["status"] == "error"
    return response["message"]


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("v1/enterprise/load_model", {"model_type": "lora", "from_safetensors": "yes"}),
        ("v1/enterprise/load_model_v2", {"model_category": "lora", "model_format": "safetensors"}),
        ("v3/load_model", {"model_category": "lora"}),
        ("v3/load_model", {}),
    ],
)
def test_loaded_model_is_used_by_its_id(load, manager, path, more):
    response = load(path, **more)
    assert response["message"] == response["messege"] == "model load started"
    verified = manager.call("v1/enterprise/verify_model", model_id="midnight")
    assert (verified["status"], verified["message"], verified["kind"]) == ("success", "model_ready", "LoRA")
    request = manager.request("v1/enterprise/text2img", model_id="shapes", lora_model="midnight")
    assert request.loras[0].name == "midnight"
    file = ModelFile.objects.get(name="midnight")
    assert (file.kind, file.path, file.missing_since) == (Kind.LORA, "loras/shop/midnight.safetensors", None)


def test_loaded_model_is_visible_to_its_source_only(load, manager, alice, charlie, source):
    load()
    assert [row["model_id"] for row in alice.call("v1/enterprise/get_all_models")] == ["shapes", "midnight"]
    assert [row["model_id"] for row in charlie.call("v1/enterprise/get_all_models")] == ["shapes"]
    assert list(ModelFile.objects.get(name="midnight").allowed_sources.all()) == [source]
    assert charlie.call("v1/enterprise/verify_model", model_id="midnight")["message"] == "Model id not found"


def test_vae_is_loaded(manager, files):
    files.answers["/vae"] = answer(200, demo_file("vae/atelier-sepia.safetensors"))
    url = files.url("/vae")
    manager.call("v1/enterprise/load_vae", vae_id="sepia", vae_url=url, vae_type="safetensors")
    work()
    assert manager.request("v1/enterprise/text2img", model_id="shapes", vae="sepia").vae == "sepia"


def test_webhook_tells_that_the_model_is_ready(load, files):
    load(webhook=files.url("/hook"), track_id=7)
    (call,) = [asked for asked in files.asked if asked.path == "/hook"]
    body = json.loads(call.body)
    assert (body["status"], body["training_status"], body["model_id"]) == (
        "success",
        "model_ready",
        "midnight",
    )
    assert (body["message"], body["logs"], body["track_id"]) == (
        "model_ready",
        "Model loaded successfully",
        7,
    )


def test_webhook_tells_why_a_model_could_not_be_loaded(load, manager, files):
    files.answers["/night.safetensors"] = answer(404)
    load(webhook=files.url("/hook"))
    body = json.loads(next(asked.body for asked in files.asked if asked.path == "/hook"))
    assert (body["status"], body["training_status"]) == ("failed", "failed")
    assert body["logs"] == body["message"] == failure(manager) == "127.0.0.1 returned status 404."


def test_model_is_processing_until_it_is_loaded(load, manager):
    load(run=False)
    response = manager.call("v1/enterprise/verify_model", model_id="midnight")
    assert (response["status"], response["message"]) == ("processing", "deploying_model")
    assert run_next()
    assert manager.call("v1/enterprise/verify_model", model_id="midnight")["status"] == "success"


# What is not a model ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (answer(200, b"<!doctype html><p>a page", Content_Type="text/html"), "web page"),
        (answer(200, b"\n <html>a page"), "web page"),
        (answer(200, b"version https://git-lfs.github.com/spec/v1\noid sha256:7"), "Git LFS"),
        (answer(200, b"GGUF" + bytes(100)), "gguf, not safetensors"),
        (answer(200, b'{"error": "not found"}' * 9), "no model file"),
        (answer(200, b"\x89PNG\r\n" + bytes(100)), "no model file"),
        (answer(200, b""), "no model file"),
        (answer(200, LORA[:5000]), "Not usable"),
        (answer(200, (2).to_bytes(8, "little") + b"{}" + bytes(90)), "Not usable"),
        (answer(500), "status 500"),
    ],
)
def test_url_without_a_model_fails_with_the_reason(load, manager, files, models_root, content, words):
    files.answers["/night.safetensors"] = content
    load()
    assert words in failure(manager)
    assert not [path for path in models_root.rglob("*") if path.is_file()]
    assert not ModelFile.objects.filter(kind=Kind.LORA).exists()


def test_pickle_that_calls_a_function_is_refused(load, manager, files):
    files.answers["/evil.ckpt"] = answer(200, evil_pickle())
    load(url=files.url("/evil.ckpt"), model_type="custom_ckpt")
    assert "refers to posix.system" in failure(manager)


def evil_pickle() -> bytes:
    import io
    import os
    import pickle
    import zipfile

    class Evil:
        def __reduce__(self):
            return os.system, ("true",)

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps({"x": Evil()}, protocol=2))
    return buffer.getvalue()


def test_other_kind_family_or_format_than_requested_fails(load, manager, files):
    load(model_type="controlnet")
    assert "of the kind LoRA, not ControlNet" in failure(manager)
    load("v3/load_model", model_id="b", model_category="stable_diffusion")
    assert "of the kind LoRA, not checkpoint" in failure(manager, "b")
    load("v3/load_model", model_id="c", model_format="ckpt")
    assert "is safetensors, not pickle" in failure(manager, "c")
    files.answers["/night.ckpt"] = answer(200, LORA)
    load(model_id="d", url=files.url("/night.ckpt"))
    assert "is safetensors, not pickle" in failure(manager, "d")


@pytest.mark.slow
def test_checkpoint_of_another_family_fails(load, manager, files):
    files.answers["/shapes.safetensors"] = answer(200, demo_file("checkpoints/atelier-shapes.safetensors"))
    body = {"url": files.url("/shapes.safetensors"), "model_category": "stable_diffusion_xl"}
    load("v3/load_model", **body)
    assert "of the family Stable Diffusion 1.x, not Stable Diffusion XL" in failure(manager)
    load("v3/load_model", **body | {"model_category": "stable_diffusion", "model_id": "other"})
    assert manager.request("v1/enterprise/text2img", model_id="other").checkpoint == "other"


def test_file_that_is_too_large_fails_before_it_is_received(load, manager, files, settings):
    files.answers["/night.safetensors"] = answer(200, LORA[:1000], Content_Length=str(5 * 1024**3))
    settings.MODEL_UPLOAD_MAX_BYTES = 4 * 1024**3
    load()
    assert failure(manager) == "The file at the URL exceeds 4096 MB."


def test_body_that_never_ends_is_cut_at_the_limit(load, manager, files, settings):
    settings.MODEL_UPLOAD_MAX_BYTES = 1024**2

    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        for _part in range(1000):
            handler.wfile.write(LORA[:8192])

    files.answers["/night.safetensors"] = endless
    load()
    assert failure(manager) == "The file at the URL exceeds 1 MB."


def test_slow_body_fails_at_the_time_limit(load, manager, files, settings):
    settings.MODEL_FETCH_TIMEOUT_S = 0.3

    def slow(handler):
        handler.send_response(200)
        handler.end_headers()
        while not files.closing.wait(0.05):
            handler.wfile.write(b"x")
            handler.wfile.flush()

    files.answers["/night.safetensors"] = slow
    load()
    assert "within the time limit" in failure(manager)


def test_full_disk_fails(load, manager, monkeypatch):
    monkeypatch.setattr("jobs.model_intake.download.MIN_FREE_BYTES", 2**60)
    load()
    assert "not enough disk space" in failure(manager)


# Addresses ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["http://10.0.0.5/a.safetensors", "http://localhost/x", "http://[::1]/x"])
def test_private_address_is_refused(refused, source, url):
    source.reachable = []
    source.save()
    assert list(refused(url=url)) == ["url"]


@pytest.mark.parametrize(
    "url", ["ftp://example.com/x", "file:///etc/passwd", "http://u:p@example.com/x", "http://"]
)
def test_other_urls_are_refused(refused, url):
    assert list(refused(url=url)) == ["url"]


def test_redirect_to_a_private_address_fails(load, manager, files):
    files.answers["/night.safetensors"] = redirect("http://169.254.169.254/latest/meta-data")
    load()
    assert "neither public nor allowed" in failure(manager)


def test_redirect_to_a_public_file_is_followed(load, manager, files):
    files.answers["/download?token=secret"] = redirect("/night.safetensors")
    load(url=files.url("/download?token=secret"))
    assert manager.call("v1/enterprise/verify_model", model_id="midnight")["status"] == "success"
    assert "secret" not in ModelIntake.objects.get().url


def test_webhook_to_a_private_address_is_refused(refused):
    assert list(refused(webhook="http://10.0.0.5/hook")) == ["webhook"]


@pytest.mark.parametrize("url", ["runwayml/stable-diffusion-v1-5", "gpt2"])
def test_repository_is_refused(refused, url):
    assert "names a repository" in refused(url=url)["url"][0]
    assert "one file" in refused(url=url, model_type="huggingface")["model_type"][0]


# Names and fields -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["../evil", "a/b", "a\\b", ".hidden", "a b", "a,b", "<lora:a:1>", "x" * 101, "a\nb", "é\u0301 ", "-a"],
)
def test_name_with_other_characters_is_refused(refused, name):
    assert list(refused(model_id=name)) == ["model_id"]


def test_chinese_name_is_possible(load, manager):
    load(model_id="夜景")
    assert manager.call("v1/enterprise/verify_model", model_id="夜景")["status"] == "success"


def test_fields_are_required(manager):
    def missing(path):
        return set(manager.call(path)["message"])

    assert missing("v1/enterprise/load_model") == {"url", "model_id"}
    assert missing("v1/enterprise/load_model_v2") == {"url", "model_id"}
    assert missing("v1/enterprise/load_vae") == {"vae_url", "vae_id", "vae_type"}
    assert missing("v3/load_model") == {"url", "model_id"}
    assert missing("v1/enterprise/verify_model") == missing("v1/enterprise/delete_model") == {"model_id"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model_category", "flux"),
        ("model_category", "poem"),
        ("model_format", "diffusers"),
        ("model_format", "gguf"),
        ("revision", "fp8"),
        ("hf_upload", "yes"),
        ("force_load", "yes"),
        ("model_name", "a/b"),
    ],
)
def test_unsupported_value_is_refused_with_its_field(refused, field, value):
    assert list(refused("v3/load_model", **{field: value})) == [field]


def test_field_without_effect_is_told(load):
    body = {"revision": "fp16", "model_visibility": "public", "model_image": "http://x/y.png"}
    tip = load("v3/load_model", **body, model_subcategory="lora")["tip"]
    assert all(name in tip for name in [*body, "model_subcategory"])


def test_model_name_is_a_second_name(load, manager):
    load("v3/load_model", model_name="Night-2")
    assert manager.request("v1/enterprise/text2img", model_id="shapes", lora_model="Night-2")
    assert resolve(Kind.LORA, "Night-2", manager.access_key.source).name == "midnight"


def test_id_that_exists_is_refused(load, manager, files, model):
    model(Kind.LORA, "rain")
    url = files.url("/night.safetensors")
    refusal = manager.call("v1/enterprise/load_model", url=url, model_id="rain", model_type="lora")
    assert refusal["message"] == {"model_id": ["There is a lora named rain already."]}
    load(run=False)
    assert (
        "is being loaded"
        in manager.call("v1/enterprise/load_model", url=url, model_id="midnight")["message"]["model_id"][0]
    )


def test_name_of_another_source_is_not_revealed(load, manager, model, other_source):
    model(Kind.LORA, "midnight").allowed_sources.add(other_source)
    load(model_type="lora")
    assert manager.call("v1/enterprise/verify_model", model_id="midnight")["status"] == "success"
    assert manager.request("v1/enterprise/text2img", model_id="shapes", lora_model="midnight")
    assert resolve(Kind.LORA, "midnight", manager.access_key.source).name == "shop/midnight"


def test_same_file_of_another_source_is_not_revealed(load, manager, files, caller, other_source):
    load()
    other_source.reachable = ["127.0.0.1"]
    other_source.save()
    other = caller(*AccessKey.issue(other_source, manages_models=True))
    other.call("v1/enterprise/load_model", url=files.url("/night.safetensors"), model_id="mine")
    work()
    assert other.call("v1/enterprise/verify_model", model_id="mine")["status"] == "success"


def test_same_file_again_is_told_by_its_name(load, manager):
    load()
    load(model_id="again")
    assert failure(manager, "again") == "The same file is available already, as midnight."


def test_too_many_at_once_are_refused(load, manager, files):
    for number in range(10):
        load(model_id=f"m{number}", run=False)
    response = manager.call("v1/enterprise/load_model", url=files.url("/x"), model_id="one-more")
    assert (response["message"], response["retry_after"]) == ("Rate limit exceeded", 60)


@pytest.mark.parametrize(
    "path",
    ["v1/enterprise/load_model", "v1/enterprise/load_model_v2", "v1/enterprise/load_vae", "v3/load_model",
     "v1/enterprise/delete_model"],
)  # fmt: skip
def test_key_without_the_right_is_refused(alice, path):
    assert "may not manage models" in alice.call(path, model_id="shapes", url="http://x/y")["message"]
    assert not ModelIntake.objects.exists()


# Deletion -------------------------------------------------------------------------------------------------------------


def test_deleted_model_is_disabled_and_its_file_stays(load, manager, models_root):
    load()
    assert manager.call("v1/enterprise/delete_model", model_id="midnight")["status"] == "success"
    assert not ModelFile.objects.get(name="midnight").enabled
    assert (models_root / "loras/shop/midnight.safetensors").exists()
    assert failure(manager) == "Model id not found"
    assert manager.call("v1/enterprise/delete_model", model_id="midnight")["message"] == "Model id not found"


def test_deleted_model_can_be_loaded_again(load, manager, files):
    load()
    manager.call("v1/enterprise/delete_model", model_id="midnight")
    load()
    assert manager.call("v1/enterprise/verify_model", model_id="midnight")["status"] == "success"
    manager.call("v1/enterprise/delete_model", model_id="midnight")
    files.answers["/night.safetensors"] = answer(200, demo_file("loras/atelier-rings.safetensors"))
    load()
    assert "Choose another name" in failure(manager)


def test_deleted_model_can_be_loaded_under_another_id(load, manager):
    load()
    manager.call("v1/enterprise/delete_model", model_id="midnight")
    load(model_id="evening")
    assert manager.call("v1/enterprise/verify_model", model_id="evening")["status"] == "success"
    assert failure(manager) == "Model id not found"


def test_only_models_that_the_source_has_loaded_are_deleted(load, manager, caller, checkpoint, other_source):
    load()
    assert (
        "Only models that this source has loaded"
        in manager.call("v1/enterprise/delete_model", model_id="shapes")["message"]
    )
    other = caller(*AccessKey.issue(other_source, manages_models=True))
    assert other.call("v1/enterprise/delete_model", model_id="midnight")["message"] == "Model id not found"
    ModelFile.objects.get(name="midnight").allowed_sources.add(other_source)
    assert manager.call("v1/enterprise/delete_model", model_id="midnight")["status"] == "error"
    assert ModelFile.objects.filter(name__in=["shapes", "midnight"], enabled=True).count() == 2


def test_failed_intake_keeps_its_row_with_state_and_error(load):
    load(model_type="controlnet")
    intake = ModelIntake.objects.get()
    assert (intake.state, intake.file, intake.requested_by) == (IntakeState.FAILED, None, intake.key.key_id)
    assert "not ControlNet" in intake.error
