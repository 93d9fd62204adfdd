"""Authentication, and the errors of invalid requests. Every response is HTTP 200 with an envelope."""

import json
import struct
import zlib

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from access.models import AccessKey
from jobs.models import InputPicture, Job
from tests.dialects.smzdm.conftest import Caller, png, product
from tests.support.input_images import UNUSABLE
from tests.support.web_server import answer, redirect

pytestmark = pytest.mark.slow

# Authentication


@pytest.mark.field("smzdm_change_background", "from")
def test_from_names_the_source(alice, shop):
    assert alice.job().source == alice.job(**{"from": " shop "}).source == shop


@pytest.mark.parametrize("name", ["unknown", "SHOP", "a b", "x" * 64])
def test_unknown_source_is_refused(alice, name):
    assert alice.refusal(**{"from": name})[0] == 1006


def test_from_is_accepted_only_from_the_sources_keyless_networks(alice, shop):
    shop.keyless_networks = ["10.0.0.0/8"]
    shop.save()
    assert alice.refusal()[0] == 1006


def test_source_without_keyless_networks_requires_a_key(alice, other_source):
    assert alice.refusal(**{"from": other_source.name}) == alice.refusal(**{"from": "unknown"})


def test_disabled_source_is_refused(alice, shop):
    shop.enabled = False
    shop.save()
    assert alice.refusal()[0] == 1006


def test_key_authenticates_its_source_from_any_network(alice, shop, image_host):
    shop.keyless_networks = []
    shop.save()
    key, secret = AccessKey.issue(shop)
    keyed = Caller(image_host, Authorization=f"Bearer {key.key_id}:{secret}")
    assert keyed.job(**{"from": ""}).key == key
    assert keyed.job().source == shop


@pytest.mark.parametrize("header", ["Bearer wrong:secret", "Basic !!!", "Basic /w==", "Digest x", "Bearer"])
def test_invalid_credentials_are_refused_even_from_a_keyless_network(alice, image_host, header):
    assert Caller(image_host, Authorization=header).refusal()[0] == 1006


def test_wrong_secret_says_so(image_host, shop):
    key, _secret = AccessKey.issue(shop)
    for credentials in (f"{key.key_id}:wrong", "unknown:wrong"):
        refusal = Caller(image_host, Authorization=f"Bearer {credentials}").refusal()
        assert refusal == (1006, "Authorization: unknown key or wrong secret.")


def test_key_that_may_not_be_used_is_told_from_a_wrong_secret(image_host, shop):
    key, secret = AccessKey.issue(shop, dialects=["native"])
    code, message = Caller(image_host, Authorization=f"Bearer {key.key_id}:{secret}").refusal()
    assert (code, message) == (
        1006,
        "Authorization: this key may not use this API, or not from this address.",
    )


@pytest.mark.parametrize("header", ["Digest x", "Basic !!!", "Basic /w=="])
def test_malformed_credentials_are_told_with_the_format(image_host, shop, header):
    code, message = Caller(image_host, Authorization=header).refusal()
    assert (code, "send Bearer <key id>:<secret>" in message) == (1006, True)


def test_key_cannot_be_used_for_another_source(alice, other_source, image_host):
    key, secret = AccessKey.issue(other_source)
    assert Caller(image_host, Authorization=f"Bearer {key.key_id}:{secret}").refusal()[0] == 1006


def test_requests_without_from_belong_to_the_default_source(alice, shop, settings):
    settings.SMZDM_DEFAULT_SOURCE = ""
    assert alice.refusal(**{"from": None})[0] == 1006
    settings.SMZDM_DEFAULT_SOURCE = shop.name
    assert alice.job(**{"from": None}).source == shop


def test_from_can_be_required_by_a_setting(alice, shop, settings):
    settings.SMZDM_DEFAULT_SOURCE, settings.SMZDM_FROM_REQUIRED = shop.name, True
    assert alice.refusal(**{"from": ""}) == (1001, "from is missing.")


# Invalid bodies


@pytest.mark.parametrize("field", ["img_url", "prompt"])
@pytest.mark.parametrize("value", [None, ""])
def test_missing_parameter_is_named(alice, field, value):
    assert alice.refusal(**{field: value}) == (1001, f"{field} is missing.")


@pytest.mark.parametrize(
    "invalid",
    [
        {"width": "wide"},
        {"width": -1},
        {"width": 4097},
        {"width": 1e400},
        {"height": 10**40},
        {"height": 12.5},
        {"height": [1]},
        {"batch_size": 0},
        {"batch_size": True},
        {"batch_size": "1e3"},
        {"batch_size": 200},
        {"steps": 0},
        {"steps": 400},
        {"mast_expend_num": 257},
        {"mast_expend_num": "-2.5"},
        {"is_remove_bg": "maybe"},
        {"is_controlnet": 2},
        {"is_controlnet": {}},
        {"sd_lora_name": ["a"]},
        {"sd_lora_name": ["a"], "sd_lora_weight": []},
        {"sd_lora_name": "a", "sd_lora_weight": "x"},
        {"sd_lora_name": [1], "sd_lora_weight": [1]},
        {"sd_lora_name": "[", "sd_lora_weight": [1]},
        {"sd_lora_name": ["a"] * 33, "sd_lora_weight": [1] * 33},
        {"sd_lora_name": ["a"], "sd_lora_weight": [11]},
        {"api_type": "webui"},
        {"taskid": "x"},
        {"taskid": 2**63},
        {"prompt": 5},
        {"prompt": "a\0b"},
        {"prompt": "\ud800"},
        {"prompt": "x" * 20_001},
        {"from": {"a": 1}},
        {"seed": -2},
        {"callback_url": "ftp://93.184.215.14/", "taskid": 1},
        {"callback_url": "http://10.0.0.1/", "taskid": 1},
        {"callback_url": "http://user:word@93.184.215.14/", "taskid": 1},
    ],
    ids=lambda invalid: str(invalid)[:40],
)
def test_invalid_value_is_refused(alice, invalid):
    assert alice.refusal(**invalid)[0] == 1001


@pytest.mark.field("smzdm_change_background", "Content-Type")
@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded"]
)
def test_body_is_json_with_any_content_type(alice, content_type):
    """curl sends a form's content type by default."""
    body = json.dumps(alice.body | {"prompt": ""})
    response = alice.client.post("/pictures/change_background", body, content_type=content_type).json()
    assert (response["error_code"], response["error_msg"]) == (1001, "prompt is missing.")


def test_other_methods_are_refused_with_an_envelope(alice):
    response = alice.client.get("/pictures/change_background").json()
    assert (response["error_code"], response["data"]) == (1001, [])


@pytest.mark.parametrize(
    "fields",
    [{"sd_model_checkpoint": "unknown"}, {"sd_lora_name": ["unknown"], "sd_lora_weight": [1]}],
    ids=lambda fields: next(iter(fields)),
)
def test_unknown_model_is_refused(alice, fields):
    assert alice.refusal(**fields)[0] == 1003


def test_mask_is_required_without_a_matting_model(alice, matting, image_host):
    matting.delete()
    assert alice.refusal()[0] == 1003
    assert alice.job(mask_url=image_host.url("/mask.png"))


# Input images


@pytest.mark.parametrize("field", ["img_url", "mask_url"])
@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/a.png", "file:///etc/passwd", "http://[::1]/", "nonsense", "http://no.invalid/"]
)
def test_field_of_a_forbidden_or_unreachable_url_is_named(alice, field, url):
    code, message = alice.refusal(**{field: url})
    assert code == 1002
    assert message.startswith(f"{field}: ")


@pytest.mark.parametrize(("data", "reason"), UNUSABLE.values(), ids=UNUSABLE)
def test_message_says_which_image_is_refused_and_why(alice, image_host, data, reason):
    image_host.answers["/unusable"] = answer(200, data)
    code, message = alice.refusal(mask_url=image_host.url("/unusable"))
    assert (code, message.startswith("mask_url: ")) == (1002, True)
    assert reason in message


def test_redirect_to_a_private_address_is_refused(alice, shop, image_host):
    shop.reachable = ["localhost"]
    shop.save()
    image_host.answers["/out"] = redirect("http://127.0.0.1:1/secret.png")
    code, message = alice.refusal(img_url=image_host.url("/out", host="localhost"))
    assert (code, message.startswith("img_url: ")) == (1002, True)
    assert [request.path for request in image_host.asked] == ["/out"]


def bomb(side: int = 30_000) -> bytes:
    """A PNG of a few hundred bytes whose header declares 900 million pixels."""
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    "data", [b"", b"<html>", png(product())[:60], bomb()], ids=["empty", "html", "half", "bomb"]
)
def test_file_that_is_no_image_is_refused_and_not_stored(alice, image_host, data):
    image_host.answers["/product.png"] = answer(200, data, Content_Type="image/png")
    assert alice.refusal()[0] == 1002
    assert not InputPicture.objects.exists()


def test_image_above_the_limits_of_the_source_is_refused(alice, image_host):
    image_host.answers["/product.png"] = answer(200, png(Image.new("RGB", (2100, 64))))
    assert alice.refusal()[0] == 1001
    image_host.answers["/product.png"] = answer(200, png(Image.new("L", (4200, 64))))
    assert alice.refusal()[0] == 1001


def test_image_urls_can_be_disabled(alice, settings):
    settings.INPUT_URLS = False
    assert alice.refusal()[0] == 1007


def test_midjourney_is_not_supported(alice):
    code = alice.post({"prompt": "a cat", "from": "shop"}, "create_img_by_mj")["error_code"]
    assert (code, Job.objects.count()) == (1007, 0)


@pytest.mark.parametrize(
    ("invalid", "code"),
    [({"img_url": ""}, 1001), ({"model": "unknown"}, 1003), ({"is_mask": 7}, 1001), ({"from": "x"}, 1006)],
)
def test_invalid_background_removal_is_refused(alice, invalid, code):
    assert alice.post(alice.body | invalid, "rembg_img")["error_code"] == code
    assert Job.objects.count() == 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    [
        "img_url",
        "prompt",
        "mask_url",
        "negative_prompt",
        "is_remove_bg",
        "width",
        "height",
        "is_controlnet",
        "control_model",
        "batch_size",
        "mast_expend_num",
        "sd_model_checkpoint",
        "sd_lora_name",
        "sd_lora_weight",
        "api_type",
        "from",
        "callback_url",
        "taskid",
        "upload_img_config",
        "steps",
        "seed",
    ]
)


@given(st.dictionaries(NAMES, JSON, max_size=5))
@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_json_body_gets_an_envelope_and_no_internal_error(alice, settings, body):
    settings.INPUT_URLS = False
    response = alice.send(**body)
    assert set(response) == {"error_code", "error_msg", "data"}
    assert response["error_code"] in range(1001, 1008)
    assert response["error_msg"] != "Internal error."


@pytest.mark.parametrize("levels", [200, 900])
@pytest.mark.parametrize("field", ["unknown", "sd_lora_name", "upload_img_config"])
def test_json_that_is_nested_too_deeply_is_refused(alice, levels, field):
    nested = "[" * levels + "]" * levels
    body = f'{{"{field}": {nested}, "from": "shop"}}'
    response = alice.client.post("/pictures/change_background", body, content_type="application/json")
    assert response.json() == {"error_code": 1001, "error_msg": "The body is not JSON.", "data": []}
    if field != "unknown":  # unknown fields are not parsed
        assert alice.refusal(**{field: nested})[0] == 1001


@pytest.mark.parametrize("text", ["\ud800", "a\0b"])
def test_unstorable_text_in_nested_json_is_refused(alice, text):
    for field, value in (("upload_img_config", {"channel": text}), ("sd_lora_name", [text])):
        code, message = alice.refusal(**{field: json.dumps(value)})
        assert (code, message) == (1001, "Text must not contain NUL characters or unpaired surrogates.")


@pytest.mark.parametrize("path", ["change_background/", "nothing", ""])
def test_unknown_path_gets_an_envelope(alice, path):
    response = alice.post({}, path)
    assert response == {"error_code": 1007, "error_msg": "Endpoint not found.", "data": []}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"img_url": "http://img.example.com/" + "a" * 2000}, "img_url must have a length of at most 2000."),
        (
            {"sd_lora_name": ["a"] * 33, "sd_lora_weight": [1] * 33},
            "sd_lora_name must have a length of at most 32.",
        ),
        ({"prompt": "  "}, "prompt is missing."),
    ],
)
def test_message_names_the_field_and_its_maximum_length(alice, fields, message):
    assert alice.refusal(**fields) == (1001, message)


def test_limits_of_a_source_are_reported_with_the_vendors_field_names(alice, shop):
    shop.max_images, shop.max_steps = 2, 30
    shop.save()
    code, message = alice.refusal(batch_size=3)
    assert (code, message.split()[0]) == (1001, "batch_size")
    code, message = alice.refusal(steps=31)
    assert (code, message.split()[0]) == (1001, "steps")


def test_fields_of_different_lengths_are_both_named(alice):
    response = alice.refusal(sd_lora_name=["a"], sd_lora_weight=[])
    assert response == (1001, "sd_lora_name and sd_lora_weight must have the same length")


def test_lora_tag_in_the_prompt_is_refused(alice):
    message = "<lora:ink> in the prompt is not supported: use sd_lora_name"
    assert alice.refusal(prompt="a <lora:ink:1>") == (1007, message)
