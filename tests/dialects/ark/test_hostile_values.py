"""Hostile values in every field: an error of the documented shape, never an internal one, and no half-written job."""

import json

import pytest
from hypothesis import given

from dialects.ark.request.fields import ImageRequest
from jobs.billing.ledger_check import inconsistencies
from jobs.models import Job, State, Transition
from models_registry.models import Kind
from tests.dialects.ark.conftest import PATH
from tests.support.hostile_values import FUZZ, bodies, encoded

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True), pytest.mark.postgres]

TEXT = {
    "model": "shapes",
    "prompt": "a red circle <lora:night:0.5>",
    "size": "64x64",
    "seed": 1,
    "guidance_scale": 7.5,
    "sequential_image_generation": "auto",
    "sequential_image_generation_options": {"max_images": 2},
    "response_format": "url",
    "output_format": "png",
    "watermark": True,
    "optimize_prompt_options": {"mode": "standard"},
    "background": "opaque",
    "tools": [],
    "stream": False,
}
BODIES = {"text": TEXT, "image": TEXT, "stream": TEXT | {"stream": True}}


@pytest.fixture
def caller_with_room(alice, source, model):
    source.max_queued_jobs = 1_000_000
    source.save()
    model(Kind.LORA, "night", path="loras/night.safetensors")
    return alice


def check(response) -> None:
    if response.streaming:
        assert response.status_code == 200
        text = b"".join(response.streaming_content).decode()
        response.close()
        assert text.endswith("data: [DONE]\n\n")
        return
    text = response.content.decode()
    assert "Traceback" not in text
    assert response.status_code < 500 or response.status_code == 504, text[:500]
    assert {"code", "message", "param", "type"} == set(json.loads(text)["error"])


@pytest.mark.parametrize("kind", BODIES)
def test_every_field_accepts_or_refuses_any_value(caller_with_room, red, kind) -> None:
    body_fields = BODIES[kind] | ({"image": [red]} if kind == "image" else {})

    @FUZZ
    @given(body=bodies(body_fields, [*ImageRequest.model_fields]))
    def any_body(body) -> None:
        before = Job.objects.count()
        response = caller_with_room.client.post(PATH, encoded(body), content_type="application/json")
        check(response)
        assert Job.objects.count() == before + ("X-Job-Id" in response.headers)

    any_body()
    assert list(inconsistencies()) == []
    assert Transition.objects.filter(to_state=State.QUEUED).count() == Job.objects.count()
