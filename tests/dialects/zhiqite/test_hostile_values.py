"""Hostile values in every field: an error of the documented shape, never an internal one, and no half-written job."""

import json

import pytest
from hypothesis import given

from dialects.zhiqite.request.fields_v2 import GenerationV2
from dialects.zhiqite.request.fields_v3 import Image2ImageV3, Text2ImageV3
from dialects.zhiqite.request.text_tools import TEXT_TOOLS
from dialects.zhiqite.request.tools.catalog import TOOLS
from dialects.zhiqite.training.fields import SubmitTraining
from jobs.billing.ledger_check import inconsistencies
from jobs.models import Backend, Job, Runner, State, Transition
from models_registry.models import Kind
from tests.dialects.zhiqite.conftest import PREFIX, generation_body
from tests.support.hostile_values import ADETAILER_UNIT, FUZZ, bodies, encoded

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

UNIT = {
    "image_link": "",
    "enabled": True,
    "module": "canny",
    "model": "canny",
    "weight": 1.0,
    "resize_mode": "Crop and Resize",
    "processor_res": 64,
    "threshold_a": 1.0,
    "threshold_b": 2.0,
    "guidance_start": 0.0,
    "guidance_end": 1.0,
    "control_mode": 0,
}
SCRIPTS = {
    "sd_vae": "",
    "image_link": "",
    "mask_link": "",
    "override_settings": {"CLIP_stop_at_last_layers": 1, "eta_noise_seed_delta": 0},
    "controlnet": {"args": [UNIT]},
    "ADetailer": {"args": [True, False, ADETAILER_UNIT]},
}
EXTERNAL = {
    "baseModelCode": "shapes",
    "businessTaskId": "a",
    "targetImageFormat": "png",
    "sourceImageUrl": "",
}
V3 = {
    "prompt": "a red circle",
    "steps": 4,
    "width": 128,
    "height": 128,
    "styles": ["a"],
    "saasDrawingExternalImageParameterBO": EXTERNAL,
}
TOOL = {
    "businessTaskId": "a",
    "sourceImage": "",
    "imageUrl": "",
    "image": "",
    "prompt": "a red circle",
    "callbackUrl": "",
}
TEXT = {"businessTaskId": "a", "sourcePrompt": "一只猫", "text": "一只猫", "targetLanguage": "en"}
QUERY = {"businessTaskId": "a"}
TRAINING = {"taskId": "a", "fileUrlList": [""] * 10, "maxEpochs": 10, "unetLr": "1e-4", "networkDim": 4}
BODIES = {
    "sd/v2/text2image": generation_body(SCRIPTS, enable_hr=True, hr_scale=1.5, seed=1),
    "sd/v2/image2image": generation_body(SCRIPTS, denoising_strength=0.5, mask_blur=4),
    "sd/v2/controlnet": generation_body(SCRIPTS),
    "sd/v3/text2Image": V3,
    "sd/v3/image2Image": V3,
    **{f"tool/{code}": TOOL for code in TOOLS},
    **{f"tool/{code}": TEXT for code in TEXT_TOOLS},
    "video/convert": TOOL,
    "tool/erase/queryTask": QUERY,
    "sd/v2/queryTaskInfo": QUERY,
    "sd/queryTaskInfo": QUERY,
    "modelTraining/submitTraining/Job": TRAINING,
    "modelTraining/queryTraining/Job": {"taskId": "a"},
}
FIELDS = {
    "sd/v2/text2image": [*GenerationV2.model_fields],
    "sd/v2/image2image": [*GenerationV2.model_fields],
    "sd/v3/text2Image": [*Text2ImageV3.model_fields],
    "sd/v3/image2Image": [*Image2ImageV3.model_fields],
    "modelTraining/submitTraining/Job": [*SubmitTraining.model_fields],
    **{f"tool/{code}": [*model.model_fields] for code, model in (TOOLS | TEXT_TOOLS).items()},
}
MODELS = [
    (Kind.TEXT_DETECTOR, "text_detection/letters.onnx"),
    (Kind.NSFW, "nsfw/open_nsfw.onnx"),
    (Kind.TAGGER, "taggers/wd.onnx"),
]
IMAGES = ("image_link", "sourceImageUrl", "sourceImage", "maskImage", "imageUrl", "image")


@pytest.fixture
def caller_with_room(alice, source, register, face_models, text_model):
    source.max_queued_jobs = 1_000_000
    source.save()
    register(Kind.CONTROLNET, "controlnet/canny.safetensors")
    Runner.objects.create(name="trainer", url="http://127.0.0.1:1", backend=Backend.TRAINING)
    for kind, path in MODELS:
        register(kind, path)
    return alice


def with_images(body, url: str):
    """The body with this URL as every image."""
    if isinstance(body, dict):
        return {
            name: [url] * len(part)
            if name == "fileUrlList"
            else url
            if name in IMAGES
            else with_images(part, url)
            for name, part in body.items()
        }
    return [with_images(part, url) for part in body] if isinstance(body, list) else body


def send(caller, route: str, body: bytes):
    return caller.client.post(PREFIX + route, body, content_type="application/json")


def check(response) -> None:
    text = response.content.decode()
    assert response.status_code == 200
    assert "Traceback" not in text
    body = json.loads(text)
    assert set(body) == {"code", "msg", "data"}
    assert body["code"] in ("200", "400")
    assert body["msg"] != "Internal error."


def check_rows() -> None:
    assert list(inconsistencies()) == []
    assert Transition.objects.filter(to_state=State.QUEUED).count() == Job.objects.count()


@pytest.mark.parametrize("route", BODIES)
def test_every_field_accepts_or_refuses_any_value(caller_with_room, web, route) -> None:
    @FUZZ
    @given(body=bodies(with_images(BODIES[route], web.url("/red.png")), FIELDS.get(route, ())))
    def any_body(body) -> None:
        before = Job.objects.count()
        response = send(caller_with_room, route, encoded(body))
        check(response)
        if response.json()["code"] == "400":
            assert Job.objects.count() == before

    any_body()
    check_rows()
