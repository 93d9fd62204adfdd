"""Hostile values in every field: an error of the documented shape, never an internal one, and no half-written job."""

import json

import pytest
from hypothesis import given

from dialects.stablediffusionapi.endpoints import ENDPOINTS
from dialects.stablediffusionapi.request.editing_fields import EDITING
from dialects.stablediffusionapi.request.fields import FIELDS as ALL_FIELDS
from dialects.stablediffusionapi.request.video_fields import FIELDS as VIDEO_FIELDS
from dialects.stablediffusionapi.training.fields import FORMS
from jobs.billing.ledger_check import inconsistencies
from jobs.models import Backend, Job, Runner, State, Transition
from models_registry.models import Kind
from tests.dialects.stablediffusionapi.conftest import data_uri, png
from tests.support.hostile_values import FUZZ, bodies, encoded
from tests.support.video_fleet import template

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

RED = data_uri(png())
GENERATION = {
    "prompt": "a red circle",
    "negative_prompt": "a dog",
    "width": "64",
    "height": "64",
    "samples": "1",
    "num_inference_steps": "3",
    "guidance_scale": 7.5,
    "seed": None,
    "scheduler": "DDIMScheduler",
    "base64": "yes",
    "track_id": "a",
    "instant_response": True,
}
CONTROL = {
    "controlnet_model": "canny",
    "controlnet_type": "canny",
    "controlnet_conditioning_scale": 0.5,
    "auto_hint": "yes",
    "guess_mode": "no",
}
TRAINING = {
    "instance_prompt": "zorb",
    "class_prompt": "a disc",
    "images": [RED, data_uri(png(color="blue"))],
    "max_train_steps": "3",
    "training_type": "null",
    "seed": "0",
}
VIDEO = {"prompt": "x", "width": 64, "height": 64, "fps": 8, "num_inference_steps": 3, "seed": 1}
BODIES = {
    "v3/text2img": GENERATION,
    "v3/img2img": {**GENERATION, "init_image": RED, "strength": 0.5},
    "v6/images/inpaint": {**GENERATION, "model_id": "shapes", "init_image": RED, "mask_image": RED},
    "v5/controlnet": {**GENERATION, **CONTROL, "model_id": "shapes", "init_image": RED, "clip_skip": 2},
    "v3/super_resolution": {"url": RED, "scale": 2, "face_enhance": False},
    "v5/removebg_mask": {"image": RED, "alpha_matting": True, "alpha_matting_erode_size": 5},
    "v5/outpaint": {"image": RED, "prompt": "x", "walk_type": ["left", "back"], "translation_factor": 0.1},
    "v6/image_editing/outpaint": {"image": RED, "width": 128, "height": 64, "overlap_width": 10},
    "v5/mixture_canvas": {"image": RED, "prompt": "x", "pos_x1": 8, "pos_x2": 80, "pos_y1": 0, "pos_y2": 64},
    "v6/image_editing/inpaint": {"prompt": "x", "init_image": RED, "mask_image": RED, "strength": 0.7},
    "v5/object_removal": {"init_image": RED, "mask_image": RED},
    "v5/pix2pix": {"prompt": "x", "init_image": RED, "image_guidance_scale": 1},
    "v5/magic_mix": {"prompt": "x", "image": RED, "kmin": 0.3, "kmax": 0.5, "mix_factor": 0.5},
    "v5/interior": {"prompt": "x", "init_image": RED, "steps": 20},
    "v5/text2video": VIDEO | {"seconds": "2"},
    "v6/video/img2video": VIDEO | {"init_image": RED, "num_frames": 5, "output_type": "mp4"},
    "v3/nsfw_image_check": {"init_image": RED, "threshold": 0.5},
    "v3/check_nsfw_cp": {"prompt": "x"},
    "v3/delete_image": {"request_id": 7, "type": "image"},
    "v3/fetch": {"request_id": "1"},
    "v3/base64_crop": {"image": RED, "crop": "yes"},
    **{f"v3/{form}": TRAINING | {"base_model_id": "shapes", "steps_unet": "3"} for form in FORMS},
    "v3/fine_tune_status": {"training_id": "a"},
    "v3/finetune_list": {},
    "v3/dreambooth/model_reload": {"model_id": "shapes"},
}
WITHOUT_JOB = ("fetch", "base64_crop", "check_nsfw_cp", "delete_image")
FIELDS = {path: [*ALL_FIELDS] for path in BODIES if path.split("/")[-1] not in WITHOUT_JOB}
FIELDS |= {f"v3/{name}": [*form.fields] for name, form in FORMS.items()}
for _path, _endpoint in ENDPOINTS.items():
    if _path in FIELDS:
        FIELDS[_path] += [*EDITING.get(_endpoint.task, ()), *VIDEO_FIELDS.get(_endpoint.task, ())]


@pytest.fixture
def caller_with_room(alice, source, model):
    source.max_queued_jobs = 1_000_000
    source.save()
    model(Kind.CONTROLNET, "canny")
    model(Kind.MATTING, "u2netp")
    model(Kind.NSFW, "open_nsfw")
    model(Kind.CHECKPOINT, "instruct", instruct=True)
    Runner.objects.create(name="comfyui", url="http://127.0.0.1:1", backend=Backend.COMFYUI)
    template("SaveAnimatedWEBP")
    template("SaveAnimatedWEBP", from_image=True)
    Runner.objects.create(name="trainer", url="http://127.0.0.1:1", backend=Backend.TRAINING)
    source.nsfw_words = ["nude"]
    source.save()
    return alice


def send(caller, path: str, body: bytes):
    return caller.client.post(f"/api/{path}", body, content_type="application/json")


def keyed(caller, body):
    return {"key": caller.key, **body} if isinstance(body, dict) else body


def check(response) -> None:
    text = response.content.decode()
    assert response.status_code in (200, 400, 401, 404, 405, 413, 422, 429), (
        response.status_code,
        text[:500],
    )
    assert "Traceback" not in text
    body = json.loads(text)
    assert body["status"] in ("success", "processing", "failed", "error")
    assert "Internal server error" not in str(body.get("message"))


def check_rows() -> None:
    assert list(inconsistencies()) == []
    assert Transition.objects.filter(to_state=State.QUEUED).count() == Job.objects.count()


@pytest.mark.parametrize("path", BODIES)
def test_every_field_accepts_or_refuses_any_value(caller_with_room, path) -> None:
    @FUZZ
    @given(body=bodies(BODIES[path], FIELDS.get(path, ())))
    def any_body(body) -> None:
        before = Job.objects.count()
        response = send(caller_with_room, path, encoded(keyed(caller_with_room, body)))
        check(response)
        is_started = bool({"id", "training_id"} & response.json().keys())
        accepted = is_started and response.json()["status"] != "error" and path != "v3/fetch"
        assert Job.objects.count() == before + accepted

    any_body()
    check_rows()
