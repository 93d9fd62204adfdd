"""Who may call, and what is answered to the rest. Every answer is HTTP 200 with an envelope."""

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
from tests.support.web_server import answer, redirect

pytestmark = pytest.mark.slow

# Who calls


@pytest.mark.field("smzdm_change_background", "from")
def test_from_names_the_source(alice, shop):
    assert alice.job().source == alice.job(**{"from": " shop "}).source == shop


@pytest.mark.parametrize("name", ["nobody", "SHOP", "a b", "x" * 64])
def test_an_unknown_source_is_refused(alice, name):
    assert alice.refusal(**{"from": name})[0] == 1006


def test_a_source_is_only_believed_from_networks_that_it_trusts(alice, shop):
    shop.keyless_networks = ["10.0.0.0/8"]
    shop.save()
    assert alice.refusal()[0] == 1006


def test_a_source_that_trusts_no_network_needs_a_key(alice, other_source):
    assert alice.refusal(**{"from": other_source.name}) == alice.refusal(**{"from": "nobody"})


def test_a_disabled_source_is_refused(alice, shop):
    shop.enabled = False
    shop.save()
    assert alice.refusal()[0] == 1006


def test_a_key_proves_its_source_from_anywhere(alice, shop, pictures):
    shop.keyless_networks = []
    shop.save()
    key, secret = AccessKey.issue(shop)
    holder = Caller(pictures, Authorization=f"Bearer {key.key_id}:{secret}")
    assert holder.job(**{"from": ""}).key == key
    assert holder.job().source == shop


@pytest.mark.parametrize("header", ["Bearer wrong:secret", "Basic !!!", "Basic /w==", "Digest x", "Bearer"])
def test_bad_credentials_are_not_overlooked_for_the_sake_of_the_network(alice, pictures, header):
    assert Caller(pictures, Authorization=header).refusal()[0] == 1006


def test_a_key_does_not_speak_for_another_source(alice, other_source, pictures):
    key, secret = AccessKey.issue(other_source)
    assert Caller(pictures, Authorization=f"Bearer {key.key_id}:{secret}").refusal()[0] == 1006


def test_requests_without_from_belong_to_nobody_unless_ops_say_to_whom(alice, shop, settings):
    settings.SMZDM_DEFAULT_SOURCE = ""
    assert alice.refusal(**{"from": None})[0] == 1006
    settings.SMZDM_DEFAULT_SOURCE = shop.name
    assert alice.job(**{"from": None}).source == shop


def test_an_installation_may_insist_on_from(alice, shop, settings):
    settings.SMZDM_DEFAULT_SOURCE, settings.SMZDM_FROM_REQUIRED = shop.name, True
    assert alice.refusal(**{"from": ""}) == (1001, "from is missing.")


# What is wrong with a body


@pytest.mark.parametrize("field", ["img_url", "prompt"])
@pytest.mark.parametrize("nothing", [None, ""])
def test_a_missing_parameter_is_named(alice, field, nothing):
    assert alice.refusal(**{field: nothing}) == (1001, f"{field} is missing.")


@pytest.mark.parametrize(
    "wrong",
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
    ids=lambda wrong: str(wrong)[:40],
)
def test_a_bad_value_is_refused(alice, wrong):
    assert alice.refusal(**wrong)[0] == 1001


@pytest.mark.field("smzdm_change_background", "Content-Type")
@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form-urlencoded"])
def test_the_body_is_json_whatever_it_is_called(alice, kind):
    """Curl calls it a form where nobody says otherwise."""
    body = json.dumps(alice.body | {"prompt": ""})
    told = alice.client.post("/pictures/change_background", body, content_type=kind).json()
    assert (told["error_code"], told["error_msg"]) == (1001, "prompt is missing.")


def test_other_methods_are_refused_in_the_envelope(alice):
    told = alice.client.get("/pictures/change_background").json()
    assert (told["error_code"], told["data"]) == (1001, [])


@pytest.mark.parametrize(
    "named",
    [{"sd_model_checkpoint": "nobody"}, {"sd_lora_name": ["nobody"], "sd_lora_weight": [1]}],
    ids=lambda named: next(iter(named)),
)
def test_an_unknown_model_is_refused(alice, named):
    assert alice.refusal(**named)[0] == 1003


def test_without_a_matting_model_a_picture_needs_its_mask(alice, matting, pictures):
    matting.delete()
    assert alice.refusal()[0] == 1003
    assert alice.job(mask_url=pictures.url("/mask.png"))


# Pictures


@pytest.mark.parametrize("field", ["img_url", "mask_url"])
@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/a.png", "file:///etc/passwd", "http://[::1]/", "nonsense", "http://no.invalid/"]
)
def test_a_url_that_may_not_or_cannot_be_fetched_is_named(alice, field, url):
    code, message = alice.refusal(**{field: url})
    assert code == 1002
    assert message.startswith(f"{field}: ")


def test_a_redirect_into_the_house_is_refused(alice, shop, pictures):
    shop.reachable = ["localhost"]
    shop.save()
    pictures.answers["/out"] = redirect("http://127.0.0.1:1/secret.png")
    code, message = alice.refusal(img_url=pictures.url("/out", host="localhost"))
    assert (code, message.startswith("img_url: ")) == (1002, True)
    assert [asked.path for asked in pictures.asked] == ["/out"]


def bomb(side: int = 30_000) -> bytes:
    """A PNG of a few hundred bytes that says it has 900 million pixels."""
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
def test_what_is_no_picture_is_refused_and_not_kept(alice, pictures, data):
    pictures.answers["/product.png"] = answer(200, data, Content_Type="image/png")
    assert alice.refusal()[0] == 1002
    assert not InputPicture.objects.exists()


def test_a_picture_that_is_larger_than_its_source_may_have_is_refused(alice, pictures):
    pictures.answers["/product.png"] = answer(200, png(Image.new("RGB", (2100, 64))))
    assert alice.refusal()[0] == 1001
    pictures.answers["/product.png"] = answer(200, png(Image.new("L", (4200, 64))))
    assert alice.refusal()[0] == 1001


def test_an_installation_may_fetch_nothing(alice, settings):
    settings.INPUT_URLS = False
    assert alice.refusal()[0] == 1007


def test_there_is_no_midjourney_here(alice):
    code = alice.post({"prompt": "a cat", "from": "shop"}, "create_img_by_mj")["error_code"]
    assert (code, Job.objects.count()) == (1007, 0)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [({"img_url": ""}, 1001), ({"model": "nobody"}, 1003), ({"is_mask": 7}, 1001), ({"from": "x"}, 1006)],
)
def test_a_bad_cut_out_is_refused(alice, wrong, code):
    assert alice.post(alice.body | wrong, "rembg_img")["error_code"] == code
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
def test_whatever_comes_is_answered_in_the_envelope(alice, settings, body):
    settings.INPUT_URLS = False
    told = alice.send(**body)
    assert set(told) == {"error_code", "error_msg", "data"}
    assert told["error_code"] in range(1001, 1008)
    assert told["error_msg"] != "Internal error."


@pytest.mark.parametrize("levels", [200, 900])
@pytest.mark.parametrize("field", ["unknown", "sd_lora_name", "upload_img_config"])
def test_what_is_nested_too_deeply_is_no_json(alice, levels, field):
    nested = "[" * levels + "]" * levels
    body = f'{{"{field}": {nested}, "from": "shop"}}'
    response = alice.client.post("/pictures/change_background", body, content_type="application/json")
    assert response.json() == {"error_code": 1001, "error_msg": "The body is not JSON.", "data": []}
    if field != "unknown":  # of which nothing is read
        assert alice.refusal(**{field: nested})[0] == 1001


@pytest.mark.parametrize("text", ["\ud800", "a\0b"])
def test_json_within_json_may_not_hide_text_that_cannot_be_stored(alice, text):
    for field, value in (("upload_img_config", {"channel": text}), ("sd_lora_name", [text])):
        code, message = alice.refusal(**{field: json.dumps(value)})
        assert (code, message) == (1001, "Text may not contain NUL or half of a surrogate pair.")


@pytest.mark.parametrize("path", ["change_background/", "nothing", ""])
def test_an_address_that_is_no_route_answers_in_the_envelope(alice, path):
    told = alice.post({}, path)
    assert told == {"error_code": 1007, "error_msg": "There is no such address here.", "data": []}


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
def test_lengths_are_told_in_plain_words(alice, fields, message):
    assert alice.refusal(**fields) == (1001, message)


def test_limits_are_told_by_the_documents_names(alice, shop):
    shop.max_images, shop.max_steps = 2, 30
    shop.save()
    code, message = alice.refusal(batch_size=3)
    assert (code, message.split()[0]) == (1001, "batch_size")
    code, message = alice.refusal(steps=31)
    assert (code, message.split()[0]) == (1001, "steps")


def test_what_is_wrong_with_two_fields_together_names_both(alice):
    told = alice.refusal(sd_lora_name=["a"], sd_lora_weight=[])
    assert told == (1001, "sd_lora_name and sd_lora_weight must have the same length")
