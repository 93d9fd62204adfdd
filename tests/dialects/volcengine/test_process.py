"""CVProcess and its response."""

import base64
import io
import json
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from dialects.volcengine.envelope import go_duration
from jobs.execution import lifecycle
from jobs.models import Job, State
from models_registry.models import StylePreset
from tests.dialects.volcengine.conftest import STYLE, encoded
from tests.support import fake_runner as behaviors
from tests.support.input_images import photo

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.field("volcengine_cvprocess", "return_url")
@pytest.mark.field("volcengine_cvprocess_answer", "code", "message", "request_id", "status", "time_elapsed")
@pytest.mark.field(
    "volcengine_cvprocess_answer",
    "data",
    "data.algorithm_base_resp",
    "data.algorithm_base_resp.status_code",
    "data.algorithm_base_resp.status_message",
    "data.binary_data_base64",
)
def test_image_is_returned_as_base64(worker, alice, body) -> None:
    response = alice.call("CVProcess", {**body, "return_url": False, "seed": 5})
    content = response.json()
    assert (response.status_code, content["code"], content["status"], content["message"]) == (
        200,
        10000,
        10000,
        "Success",
    )
    assert re.fullmatch(r"[0-9]{14}[0-9A-F]{20}", content["request_id"])
    assert re.fullmatch(r"[0-9.]+(ms|s|m[0-9.]+s)", content["time_elapsed"])
    assert content["data"]["algorithm_base_resp"] == {"status_code": 0, "status_message": "Success"}
    assert not content["data"]["image_urls"]
    (text,) = content["data"]["binary_data_base64"]
    assert opened(base64.b64decode(text)).size == (704, 352)
    assert Job.objects.get(pk=response["X-Job-Id"]).generation_request.seed == 5


@pytest.mark.field("volcengine_cvprocess", "return_url")
@pytest.mark.field("volcengine_cvprocess_answer", "data.image_urls")
def test_image_is_returned_by_url(worker, alice, body, client) -> None:
    response = alice.call("CVProcess", {**body, "return_url": True}).json()
    assert response["data"]["binary_data_base64"] == []
    (url,) = response["data"]["image_urls"]
    assert opened(client.get(url).getvalue()).size == (704, 352)


@pytest.mark.field("volcengine_cvprocess", "logo_info.add_logo", "logo_info.position")
def test_stored_image_has_the_logo_and_the_aigc_entry(worker, alice, body) -> None:
    fields = {"logo_info": {"add_logo": True, "position": 2, "opacity": 1}, "aigc_meta": {"producer_id": "p"}}
    response = alice.call("CVProcess", {**body, **fields}).json()
    image = opened(base64.b64decode(response["data"]["binary_data_base64"][0]))
    assert response["data"]["aigc_meta_tagged"] is True
    assert json.loads(image.info["AIGC"]) == {"Label": "1", "ProduceID": "p"}
    assert image.info["parameters"].startswith("a red circle")
    pixels = np.asarray(image.convert("RGB")).astype(int)
    changed = np.abs(pixels - pixels[-1, -1]).max(axis=-1) > 0
    assert changed[:100, :200].any()
    assert not changed[176:].any()
    assert not changed[:, 352:].any()


def test_prompt_in_an_unknown_language_is_announced(worker, alice, body) -> None:
    assert "Chinese" in alice.call("CVProcess", {**body, "prompt": "红色的圆"})["X-Atelier-Warning"]


@pytest.mark.field("volcengine_cvprocess", "logo_info.add_logo")
def test_add_logo_false_that_the_label_of_the_source_overrides_is_announced(
    worker, alice, body, source
) -> None:
    off = {**body, "logo_info": {"add_logo": False}}
    assert "X-Atelier-Warning" not in alice.call("CVProcess", off)
    source.explicit_label = "on"
    source.save()
    assert "X-Atelier-Warning" not in alice.call("CVProcess", body)
    warning = "logo_info.add_logo=false is overridden: the images of this source have a visible label"
    response = alice.call("CVProcess", off)
    assert response["X-Atelier-Warning"] == warning
    job = Job.objects.get(pk=response["X-Job-Id"])
    assert job.transitions.earliest("pk").note == warning
    task = alice.call("CVSubmitTask", off)
    assert task["X-Atelier-Warning"] == warning
    query = {"req_key": body["req_key"], "task_id": task.json()["data"]["task_id"]}
    options = json.dumps({"logo_info": {"add_logo": False}})
    assert alice.call("CVGetResult", {**query, "req_json": options})["X-Atelier-Warning"] == warning
    assert "X-Atelier-Warning" not in alice.call("CVGetResult", query)


def test_later_versions_nest_the_envelope_in_result(worker, alice, body) -> None:
    response = alice.call("AIGCStylizeImageUsage", body, version="2024-06-06").json()
    assert response["Result"]["code"] == 10000
    metadata = response["ResponseMetadata"]
    assert metadata.pop("RequestId") == response["Result"]["request_id"]
    assert metadata == {
        "Action": "AIGCStylizeImageUsage",
        "Version": "2024-06-06",
        "Service": "cv",
        "Region": "cn-north-1",
    }
    refused = alice.call("AIGCStylizeImageUsage", {}, version="2024-06-06")
    assert (refused.status_code, refused.json()["Result"]["code"]) == (400, 50201)


def test_action_for_one_style_needs_no_req_key(worker, alice, body) -> None:
    response = alice.call("Img2ImgCreatePastelBoys2D", {**body, "req_key": None}).json()
    assert response["code"] == 10000
    assert Job.objects.get().received["req_key"] == STYLE.removesuffix("_usage")


@pytest.mark.field("volcengine_cvprocess_answer", "code", "message", "data")
def test_nsfw_output_is_an_output_risk(worker, alice, body) -> None:
    worker.behavior = behaviors.rejects_its_output
    response = alice.call("CVProcess", body)
    assert (response.status_code, response.json()["code"]) == (400, 50511)
    assert (response.json()["message"], response.json()["data"]) == ("Post Img Risk Not Pass", None)


def test_failed_job_is_an_internal_error(worker, alice, body) -> None:
    worker.behavior = behaviors.fails_with_oom
    response = alice.call("CVProcess", body)
    assert (response.status_code, response.json()["code"]) == (500, 50500)


def test_expired_job_is_a_server_error(alice, body) -> None:
    """The first call got the gateway's timeout already; the same Idempotency-Key finds the job again."""
    again = {"idempotency-key": "once"}
    lifecycle.expire(alice.call("CVProcess", body, **again)["X-Job-Id"])
    response = alice.call("CVProcess", body, **again)
    content = response.json()
    assert (response.status_code, content["code"], content["data"]) == (500, 50501, None)
    assert content["message"] == "Internal RPC Error: The job waited in the queue for too long."


def test_timeout_is_a_gateway_error_and_the_job_continues(alice, body) -> None:
    response = alice.call("CVProcess", body)
    assert response.status_code == 504
    assert response.json()["ResponseMetadata"]["Error"]["Code"] == "InternalServiceTimeout"
    assert Job.objects.get(pk=response["X-Job-Id"]).state == State.QUEUED


def test_request_beyond_the_share_of_waiting_ones_is_temporarily_unavailable(alice, body, settings) -> None:
    settings.JOB_WAIT_S, settings.WAITING_REQUESTS_PER_SOURCE = 60, 0
    response = alice.call("CVProcess", body)
    assert (response.status_code, bool(response["Retry-After"])) == (503, True)
    assert response.json()["ResponseMetadata"]["Error"]["Code"] == "ServiceUnavailableTemp"
    assert Job.objects.get(pk=response["X-Job-Id"]).state == State.QUEUED


def test_checkpoint_of_another_tenant_is_denied_without_its_name(
    alice, body, checkpoint, other_source
) -> None:
    checkpoint.allowed_sources.set([other_source])
    response = alice.call("CVProcess", body)
    assert (response.status_code, response.json()["code"]) == (401, 50400)
    assert checkpoint.name not in response.text


def test_image_that_the_runner_rejects_is_a_client_error(worker, alice, body) -> None:
    worker.behavior = behaviors.rejects_the_input
    response = alice.call("CVProcess", body)
    assert (response.status_code, response.json()["code"]) == (400, 50200)
    assert "the mask of the product covers the whole image" in response.json()["message"]


def test_error_can_be_parsed_from_the_text_of_an_sdk_exception(alice, style) -> None:
    """Callers of the Python SDK parse ``b'...'``."""
    response = alice.call("CVProcess", {"req_key": 'it\'s "quoted" \\ 风格'})
    assert json.loads(str(response.content)[2:-1])["code"] == 50400


def test_same_idempotency_key_returns_the_same_job(alice, body) -> None:
    style = StylePreset.objects.get()
    sent = {**body, "req_key": style.key}
    ids = {alice.call("CVProcess", sent, **{"idempotency-key": "once"})["X-Job-Id"] for _ in range(2)}
    assert len(ids) == 1
    other = alice.call("CVProcess", {**sent, "seed": 1}, **{"idempotency-key": "once"})
    assert (other.status_code, other.json()["code"]) == (400, 50200)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["req_key", "binary_data_base64", "image_urls", "prompt", "strength", "seed", "scale", "ddim_steps",
          "lora_multipers", "clip_skip", "canny_weight", "i2i_keep_texture", "long_resolution", "id_scale",
          "return_url", "logo_info", "aigc_meta", "lora_map", "sub_req_key", "req_json", "task_id"]  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), JSON, min_size=1, max_size=3))
def test_no_body_causes_a_server_error(alice, body, fields) -> None:
    for action in ("CVProcess", "CVGetResult"):
        response = alice.call(action, {**body, "task_id": "1" * 19, **fields})
        assert response.status_code in (200, 400, 401, 504), response.content


@pytest.mark.parametrize(
    ("nanoseconds", "printed"),
    [
        (0, "0s"),
        (12, "12ns"),
        (84_448, "84.448µs"),
        (104_850_000, "104.85ms"),
        (6_780_796_541, "6.780796541s"),
        (62_500_000_000, "1m2.5s"),
        (3_600_000_000_000, "1h0m0s"),
    ],
)
def test_duration_is_printed_as_in_go(nanoseconds, printed) -> None:
    assert go_duration(nanoseconds) == printed


def test_styles_size_follows_the_photo_as_a_viewer_shows_it(alice, style):
    body = {
        "req_key": STYLE,
        "binary_data_base64": [encoded(photo(256, 128))],
        "prompt": "x",
        "long_resolution": 256,
    }
    request = alice.submit(body).generation_request
    assert (request.width, request.height) == (256, 128)
