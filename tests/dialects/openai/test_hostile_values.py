"""Hostile values in every field: an error of the documented shape, never an internal one, and no half-written job."""

import base64
import json

import pytest
from hypothesis import given

from dialects.openai.request.fields import EditFields, GenerationFields, VariationFields
from jobs.billing.ledger_check import inconsistencies
from jobs.models import Job, State, Transition
from models_registry.models import Family, Kind, ModelFile
from tests.dialects.openai.conftest import mask_file
from tests.support.fake_runner import png
from tests.support.hostile_values import FUZZ, TEXTS, bodies, encoded

pytestmark = [pytest.mark.slow, pytest.mark.postgres]


def data_uri(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


COMMON = {
    "model": "shapes",
    "n": 1,
    "size": "64x64",
    "quality": "low",
    "background": "auto",
    "output_format": "jpeg",
    "output_compression": 50,
    "response_format": "url",
    "stream": False,
    "partial_images": 0,
    "user": "7",
    "seed": 1,
    "steps": 3,
    "guidance_scale": 7.0,
    "loras": [{"name": "night", "weight": 0.5}],
    "async": True,
}
PROMPTS = {"prompt": "a red circle", "negative_prompt": "blue"}
BODIES = {
    "generations": PROMPTS | COMMON,
    "edits": PROMPTS
    | COMMON
    | {"image": data_uri(png()), "mask": data_uri(mask_file((64, 64), (0, 0, 9, 9)))},
    "variations": COMMON | {"image": [data_uri(png())]},
}
FIELDS = {"generations": GenerationFields, "edits": EditFields, "variations": VariationFields}


@pytest.fixture
def caller_with_room(alice, source):
    source.max_queued_jobs = 1_000_000
    source.save()
    ModelFile.objects.create(
        kind=Kind.LORA, family=Family.SD15, name="night", path="loras/night.safetensors", sha256="2" * 64
    )
    return alice


def check(response) -> None:
    if response.streaming:
        assert b"Traceback" not in b"".join(response.streaming_content)
        return
    text = response.content.decode()
    assert response.status_code < 500 or response.status_code == 504, text[:500]
    assert "Traceback" not in text
    body = json.loads(text)
    if response.status_code >= 400:
        assert {"message", "type", "param", "code"} <= body["error"].keys()


def check_rows() -> None:
    assert list(inconsistencies()) == []
    assert Transition.objects.filter(to_state=State.QUEUED).count() == Job.objects.count()


@pytest.mark.parametrize("operation", BODIES)
def test_every_field_accepts_or_refuses_any_value(caller_with_room, operation) -> None:
    @FUZZ
    @given(body=bodies(BODIES[operation], FIELDS[operation].model_fields))
    def any_body(body) -> None:
        before = Job.objects.count()
        path = f"/v1/images/{operation}"
        response = caller_with_room.client.post(path, encoded(body), content_type="application/json")
        check(response)
        admitted = response.status_code in (200, 202, 504)
        assert Job.objects.count() == before + admitted
        if admitted:
            check(caller_with_room.get(f"images/generations/{response.headers['X-Job-Id']}"))

    any_body()
    check_rows()


@pytest.mark.parametrize("name", [*EditFields.model_fields, "loras[][name]", "loras[9][weight]", "image[]"])
def test_every_field_of_a_form_accepts_or_refuses_any_text(caller_with_room, name) -> None:
    texts = [text for text in TEXTS if not any("\ud800" <= letter <= "\udfff" for letter in text)]
    for text in texts[::3]:
        fields = {"prompt": "a", "image": png(), "size": "64x64", "async": "true", name: text}
        check(caller_with_room.form("images/edits", fields))
    check_rows()
