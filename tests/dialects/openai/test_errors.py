"""Error table: every row of it, with the shape that the SDKs read. Other limits: tests/dialects/test_shared_refusals.py."""

import pytest
from django.test import Client

from access.models import AccessKey
from jobs.models import Job
from tests.dialects.openai.conftest import PROMPT
from tests.support import fake_runner as behaviors

pytestmark = pytest.mark.slow


def error_of(response) -> dict:
    body = response.json()
    assert body.keys() == {"error"}
    assert {"message", "type", "param", "code"} <= body["error"].keys()
    assert body["error"]["message"]
    assert response["X-Request-ID"]
    return body["error"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "x" * 32_001}, "prompt"),
        ({"prompt": ["a"]}, "prompt"),
        ({"prompt": "a\0"}, "prompt"),
        ({"prompt": "<lora:nowhere:1>"}, "prompt"),
        ({"model": 7}, "model"),
        ({"n": 0}, "n"),
        ({"n": 11}, "n"),
        ({"n": "1.5"}, "n"),
        ({"size": "1x1"}, "size"),
        ({"size": "100x100"}, "size"),
        ({"size": "4104x64"}, "size"),
        ({"size": "large"}, "size"),
        ({"size": 512}, "size"),
        ({"quality": "ultra"}, "quality"),
        ({"background": "red"}, "background"),
        ({"background": "transparent", "output_format": "jpeg"}, "background"),
        ({"background": "transparent"}, "background"),  # no matting model
        ({"output_format": "gif"}, "output_format"),
        ({"output_format": "svg"}, "output_format"),
        ({"output_format": "bmp"}, "output_format"),
        ({"output_compression": 101, "output_format": "jpeg"}, "output_compression"),
        ({"output_compression": -1, "output_format": "jpeg"}, "output_compression"),
        ({"output_compression": 50}, "output_compression"),
        ({"response_format": "file"}, "response_format"),
        ({"stream": True, "response_format": "url"}, "response_format"),
        ({"stream": True, "async": True}, "stream"),
        ({"stream": "sometimes"}, "stream"),
        ({"partial_images": 4, "stream": True}, "partial_images"),
        ({"partial_images": 1}, "partial_images"),
        ({"moderation": "none"}, "moderation"),
        ({"style": "dark"}, "style"),
        ({"user": "x" * 201}, "user"),
        ({"safety_identifier": {}}, "safety_identifier"),
        ({"complexity": "low"}, "complexity"),
        ({"frame_count": 9}, "frame_count"),
        ({"frame_duration_ms": 200}, "frame_duration_ms"),
        ({"svg": {"model": "x"}}, "svg"),
        ({"seed": -2}, "seed"),
        ({"seed": 2**64}, "seed"),
        ({"steps": 0}, "steps"),
        ({"steps": 501}, "steps"),
        ({"guidance_scale": -1}, "guidance_scale"),
        ({"sampler": "Euler z"}, "sampler"),
        ({"scheduler": "Carras"}, "scheduler"),
        ({"loras": [{"name": "nowhere"}]}, "loras"),
        ({"loras": [{"name": "a", "weight": 11}]}, "loras.0.weight"),
        ({"loras": [{"nom": "a"}]}, "loras.0.name"),
        ({"loras": "night"}, "loras"),
        ({"clip_skip": 13}, "clip_skip"),
        ({"prompt_rewriter": "on"}, "prompt_rewriter"),
    ],
    ids=str,
)
@pytest.mark.field("openai_images", "complexity", "frame_count", "frame_duration_ms", "svg", "markup")
def test_invalid_field_is_named(alice, body, param):
    body = {"prompt": PROMPT} | body
    response = alice.post("images/generations", body)
    error = error_of(response)
    assert (response.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert not Job.objects.exists()


@pytest.mark.field("openai_images", "complexity", "frame_count", "frame_duration_ms", "svg")
def test_null_is_as_if_a_field_was_left_out(alice):
    names = ("model", "n", "size", "quality", "background", "output_format", "output_compression", "user")
    names += ("response_format", "partial_images", "moderation", "style", "complexity", "frame_count", "svg")
    response = alice.generate(**dict.fromkeys((*names, "frame_duration_ms", "stream")), **{"async": True})
    assert response.status_code == 202, response.content


def test_unknown_and_missing_fields_have_codes(alice):
    assert error_of(alice.generate(shape="x"))["code"] == "unknown_parameter"
    assert error_of(alice.post("images/generations", {}))["code"] == "missing_required_parameter"


def test_message_does_not_repeat_the_value(alice):
    assert "secret" not in error_of(alice.generate(n="secret"))["message"]


def test_limit_of_the_source_is_named_as_the_field_that_exceeds_it(alice, source):
    source.max_steps, source.max_images, source.max_width = 20, 2, 512
    source.save()
    assert error_of(alice.generate(steps=21))["param"] == "steps"
    assert error_of(alice.generate(quality="high"))["param"] == "quality"
    error = error_of(alice.generate(n=3))
    assert error["message"] == "n must be at most 2 for shop (got 3)."
    assert error_of(alice.generate(size="520x64"))["param"] == "size"


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer sk-none", "Bearer a:b", "Basic YTpi", "x"])
def test_wrong_key_is_401(alice, header):
    client = Client(headers={"Authorization": header} if header else {})
    for response in (client.get("/v1/models"), client.post("/v1/images/generations")):
        error = error_of(response)
        assert (response.status_code, error["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize("form", ["{0.key_id}:{1}", "opaque"])
def test_both_forms_of_a_bearer_token_are_accepted(alice, form):
    token = form.format(alice.key, alice.secret)
    client = alice.client if form == "opaque" else Client(headers={"Authorization": f"Bearer {token}"})
    assert client.get("/v1/models").status_code == 200


def test_key_for_other_dialects_is_403(source, caller):
    client = caller(*AccessKey.issue(source, dialects=["a1111"]))
    response = client.get("models")
    assert (response.status_code, error_of(response)["type"]) == (403, "permission_error")


@pytest.mark.parametrize("name", ["nowhere", "gpt-4", "../shapes", "x" * 255])
def test_unknown_model_is_404(alice, name):
    response = alice.generate(model=name)
    error = error_of(response)
    assert (response.status_code, error["code"], error["param"]) == (404, "model_not_found", "model")


def test_rejected_image_is_400(alice, work, fake_runner):
    fake_runner.behavior = behaviors.rejects_its_output
    job = alice.admitted()
    work()
    response = alice.get(f"images/generations/{job.pk}")
    assert (response.status_code, error_of(response)["code"]) == (400, "moderation_blocked")


def test_request_that_the_runner_cannot_execute_is_400(alice, work, fake_runner):
    fake_runner.behavior = behaviors.rejects_the_input
    job = alice.admitted()
    work()
    response = alice.get(f"images/generations/{job.pk}")
    assert response.status_code == 400
    assert error_of(response)["message"] == "the mask of the product covers the whole image"


@pytest.mark.parametrize(
    ("state", "status", "code"), [("cancelled", 500, "cancelled"), ("expired", 503, "overloaded")]
)
def test_job_that_was_never_run_is_an_error(alice, state, status, code):
    job = alice.admitted()
    Job.objects.filter(pk=job.pk).update(state=state)
    response = alice.get(f"images/generations/{job.pk}")
    assert (response.status_code, error_of(response)["code"]) == (status, code)


@pytest.mark.parametrize(
    "path", ["chat/completions", "responses", "responses/1", "completions", "embeddings", "audio/speech"]
)
@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_language_models_are_404_with_the_reason(client, path, method):
    response = getattr(client, method)(f"/v1/{path}")
    assert response.status_code == 404
    assert "generates images" in error_of(response)["message"]


@pytest.mark.parametrize("path", ["", "files", "images", "images/generations/7", "images/generations/x/y"])
def test_unknown_path_is_404(client, path):
    response = client.get(f"/v1/{path}")
    assert (response.status_code, error_of(response)["code"]) == (404, "unknown_url")


@pytest.mark.parametrize("path", ["images/generations", "images/edits", "models", "models/shapes"])
def test_wrong_method_is_405(alice, path):
    response = alice.client.delete(f"/v1/{path}")
    assert (response.status_code, error_of(response)["code"]) == (405, "method_not_allowed")


def test_replay_of_a_request_is_the_same_job(alice):
    body = {"prompt": PROMPT, "async": True}
    for _ in range(2):
        response = alice.post("images/generations", body, **{"Idempotency-Key": "once"})
        assert response.status_code == 202
    assert Job.objects.count() == 1
    response = alice.post("images/generations", body | {"n": 2}, **{"Idempotency-Key": "once"})
    assert (response.status_code, error_of(response)["code"]) == (409, "idempotency_conflict")
