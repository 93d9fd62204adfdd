"""Hostile values in every field: an error of the vendor's shape, never 50500, and no half-written job."""

import json

import pytest
from hypothesis import given

from dialects.volcengine.request.submission import STORED_FIELDS
from jobs.billing.ledger_check import inconsistencies
from jobs.models import Job, State, Transition
from tests.dialects.volcengine.conftest import STYLE, png
from tests.dialects.volcengine.conftest import encoded as base64_of
from tests.support.hostile_values import FUZZ, bodies, encoded

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

STATUSES = (200, 400, 401, 404, 413, 429, 504)
GENERATION = {
    "req_key": STYLE,
    "sub_req_key": "",
    "binary_data_base64": [base64_of(png(64, 64))],
    "prompt": "a red circle",
    "u_prompt": "a dog",
    "strength": 0.5,
    "seed": 1,
    "scale": 7.0,
    "ddim_steps": 3,
    "lora_multipers": {"Colorwater_v4": 0.5},
    "lora_map": {"Moxin_Shukezouma11": {"strength_model": 0.5, "strength_clip": 0.5}},
    "clip_skip": 1,
    "canny_weight": 0.5,
    "i2i_keep_texture": True,
    "long_resolution": 704,
    "return_url": True,
    "id_scale": 0,
    "logo_info": {
        "add_logo": True,
        "position": 0,
        "language": 0,
        "opacity": 0.3,
        "logo_text_content": "made by AI",
    },
    "aigc_meta": {
        "content_producer": "a",
        "producer_id": "b",
        "content_propagator": "c",
        "propagate_id": "d",
    },
}
REQ_JSON = {"logo_info": GENERATION["logo_info"], "aigc_meta": GENERATION["aigc_meta"], "return_url": True}
BODIES = {
    "CVProcess": GENERATION,
    "CVSync2AsyncSubmitTask": GENERATION,
    "CVSync2AsyncGetResult": {"req_key": STYLE, "task_id": "1" * 19, "req_json": "{}"},
}
FIELDS = {"CVProcess": [*STORED_FIELDS, "image_urls", "image_url"]}


@pytest.fixture
def caller_with_room(alice, source, style):
    source.max_queued_jobs = 1_000_000
    source.save()
    return alice


def send(caller, action: str, body: bytes):
    return caller.call(action, body)


def check(response) -> None:
    text = response.content.decode()
    assert response.status_code in STATUSES, text[:500]
    assert "Traceback" not in text
    body = json.loads(text)
    assert body.get("code") != 50500
    assert {"code", "data", "message", "request_id", "status", "time_elapsed"} == set(body) or set(body) == {
        "ResponseMetadata"
    }


def check_rows() -> None:
    assert list(inconsistencies()) == []
    assert Transition.objects.filter(to_state=State.QUEUED).count() == Job.objects.count()


@pytest.mark.parametrize("action", BODIES)
def test_every_field_accepts_or_refuses_any_value(caller_with_room, action) -> None:
    @FUZZ
    @given(body=bodies(BODIES[action], FIELDS.get(action, ())))
    def any_body(body) -> None:
        before = Job.objects.count()
        response = send(caller_with_room, action, encoded(body))
        check(response)
        assert Job.objects.count() == before + ("X-Job-Id" in response.headers)

    any_body()
    check_rows()


def test_options_in_a_string_are_checked_like_fields(caller_with_room) -> None:
    job = caller_with_room.submit(GENERATION)

    @FUZZ
    @given(options=bodies(REQ_JSON))
    def any_options(options) -> None:
        body = {"req_key": STYLE, "task_id": job.external_id, "req_json": encoded(options).decode()}
        check(send(caller_with_room, "CVSync2AsyncGetResult", encoded(body)))

    any_options()
