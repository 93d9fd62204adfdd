"""Hostile values in every field: an error of the documented shape, never an internal one, and no half-written job."""

import base64
import io
import json

import pytest
from hypothesis import given
from PIL import Image

from dialects.native.request.submission import JobRequest
from dialects.native.request.training import TrainingBody
from jobs.billing.ledger_check import inconsistencies
from jobs.models import Backend, Job, Runner, State, Transition
from models_registry.models import Family, Kind, ModelFile
from tests.dialects.native.conftest import PREFIX
from tests.support.hostile_values import FUZZ, bodies, encoded

pytestmark = [pytest.mark.slow, pytest.mark.postgres]


def data_uri(color: str) -> str:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), color).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


RED, BLUE = data_uri("red"), data_uri("blue")
GENERATION = {
    "prompt": "a red circle",
    "negative_prompt": "a dog",
    "width": 64,
    "height": 64,
    "seed": 1,
    "num_inference_steps": 3,
    "lane": "async",
    "external_id": "",
    "callback_url": None,
    "loras": [{"name": "night", "unet": 0.5, "text_encoder": 0.5, "rank": 4}],
    "embeddings": [],
    "unipc": {"variant": "bh1", "order": 3},
    "schedule_bend": {"sigma_min": 0.0, "rho": 7.0},
    "hires": {"width": 128, "height": 128, "scale": 2.0, "eta": 0.5, "loras": []},
    "face_restoration": None,
    "nsfw": {"policy": "off", "threshold": 0.5},
    "labels": [{"text": "a", "corner": "top-left", "opacity": 0.5}],
    "marks": [{"key": "AIGC", "text": "{}"}],
}
FROM_IMAGE = {
    "task": "img2img",
    "prompt": "a red circle",
    "width": 64,
    "height": 64,
    "num_inference_steps": 3,
    "init_images": [RED],
    "strength": 0.5,
    "inpaint": {"mask": RED, "blur_x": 4, "content": "fill", "only_masked": True, "padding": 8},
    "controls": [
        {
            "model": "canny",
            "module": "canny",
            "image": RED,
            "weight": 1.0,
            "layer_weights": [1.0],
            "processor_res": 64,
            "threshold_a": 1.0,
        }
    ],
}
GENERATION["detail_passes"] = [
    {
        "detector": "yunet",
        "classes": [],
        "shape": "eyes",
        "order": "area",
        "max_regions": 2,
        "dilation": 4,
        "mask_blur": 4.0,
        "regions": [{"prompt": "a cat", "negative_prompt": "a dog", "loras": None, "skip": False}],
        "width": 64,
        "num_inference_steps": 3,
        "sampler": "Euler a",
        "controls": [{"model": "canny", "module": "canny"}],
    }
]
UPSCALE = {
    "task": "upscale",
    "init_images": [RED],
    "upscale": {"scale": 2.0, "width": 0, "height": 0, "upscaler": "Lanczos", "upscaler_2": "None"},
}
ANALYSIS = {
    "task": "analyze",
    "init_images": [RED],
    "analysis": {"find": "tags", "model": "wd", "threshold": 0.5, "character_threshold": 0.5},
}
TRAINING = {
    "name": "zorb",
    "images": [{"image": RED, "caption": "a"}, {"image": BLUE}],
    "resolution": 128,
    "steps": 3,
    "trigger": "zorb",
    "sample_prompt": "a zorb",
    "captions": "tags",
    "tagger": "wd",
    "tag_threshold": 0.5,
    "class_prompt": "a disc",
    "learning_rate": 1e-4,
    "keep_days": 7,
    "clip_skip": 2,
    "seed": 1,
}
BODIES = {
    "jobs": GENERATION,
    "jobs#image": FROM_IMAGE,
    "jobs#upscale": UPSCALE,
    "jobs#analysis": ANALYSIS,
    "quote": GENERATION,
    "quote#image": FROM_IMAGE,
    "trainings": TRAINING,
    "trainings/quote": TRAINING,
}
FIELDS = {route: [*JobRequest.model_fields] for route in ("jobs", "jobs#image", "quote")}
FIELDS |= {route: [*TrainingBody.model_fields] for route in ("trainings", "trainings/quote")}


@pytest.fixture
def caller_with_room(alice, source, face_models):
    source.max_queued_jobs = 1_000_000
    source.save()
    Runner.objects.create(name="trainer", url="http://127.0.0.1:1", backend=Backend.TRAINING)
    for kind, name in ((Kind.LORA, "night"), (Kind.CONTROLNET, "canny"), (Kind.TAGGER, "wd")):
        fields = {"family": Family.SD15, "path": f"{kind}/{name}.safetensors", "sha256": kind[0] * 64}
        ModelFile.objects.create(kind=kind, name=name, **fields)
    return alice


def send(caller, route: str, body: bytes):
    path = PREFIX + route.partition("#")[0]
    return caller.client.post(path, body, content_type="application/json")


def check(response) -> None:
    text = response.content.decode()
    assert response.status_code < 500, text[:500]
    assert "Traceback" not in text
    body = json.loads(text)
    if response.status_code >= 400:
        assert {"type", "title", "status", "detail", "code"} <= set(body)


def check_rows() -> None:
    assert list(inconsistencies()) == []
    assert Transition.objects.filter(to_state=State.QUEUED).count() == Job.objects.count()


@pytest.mark.parametrize("route", BODIES)
def test_every_field_accepts_or_refuses_any_value(caller_with_room, route) -> None:
    @FUZZ
    @given(body=bodies(BODIES[route], FIELDS.get(route, ())))
    def any_body(body) -> None:
        before = Job.objects.count()
        response = send(caller_with_room, route, encoded(body))
        check(response)
        assert Job.objects.count() == before + (response.status_code == 201)
        if response.status_code == 201:
            check(caller_with_room.get(f"jobs/{response.json()['id']}"))

    any_body()
    check_rows()
