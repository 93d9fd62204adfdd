"""Hostile values in every field of every route: an error of the documented shape, and no half-written job."""

import base64
import json

import pytest
from hypothesis import given

from dialects.a1111.options.table import OPTIONS
from dialects.a1111.request.extras import FIELDS as EXTRAS
from dialects.a1111.request.interrogate import FIELDS as INTERROGATE
from dialects.a1111.schema.fields import IMG2IMG, TXT2IMG
from jobs.billing.ledger_check import inconsistencies
from jobs.models import Job, State, Transition
from models_registry.models import Family, Kind, ModelFile
from tests.dialects.a1111.conftest import solid_png
from tests.support.hostile_values import ADETAILER_UNIT, FUZZ, bodies, encoded

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

RED = base64.b64encode(solid_png(64, 64, (255, 0, 0))).decode()
UNIT = {
    "enabled": True,
    "module": "canny",
    "model": "canny",
    "weight": 1.0,
    "image": RED,
    "mask": RED,
    "resize_mode": 1,
    "low_vram": False,
    "processor_res": 64,
    "threshold_a": 1.0,
    "threshold_b": 2.0,
    "guidance_start": 0.0,
    "guidance_end": 1.0,
    "pixel_perfect": False,
    "control_mode": 0,
    "hr_option": "both",
    "save_detected_map": True,
    "advanced_weighting": [1.0],
    "effective_region_mask": None,
}
COMMON = {
    "prompt": "a red circle",
    "negative_prompt": "a dog",
    "styles": ["none"],
    "seed": 1,
    "subseed": 1,
    "subseed_strength": 0.5,
    "sampler_name": "Euler a",
    "scheduler": "Karras",
    "batch_size": 1,
    "n_iter": 1,
    "steps": 3,
    "cfg_scale": 7.0,
    "width": 64,
    "height": 64,
    "eta": 0.5,
    "s_churn": 0.0,
    "s_tmax": 1.0,
    "override_settings": {"CLIP_stop_at_last_layers": 2, "sd_model_checkpoint": "shapes", "sd_vae": "None"},
    "alwayson_scripts": {
        "controlnet": {"args": [UNIT]},
        "ADetailer": {"args": [True, False, ADETAILER_UNIT]},
    },
}
BODIES = {
    "sdapi/v1/txt2img": {
        **COMMON,
        "enable_hr": True,
        "hr_scale": 2.0,
        "hr_upscaler": "Latent",
        "denoising_strength": 0.5,
        "hr_prompt": "a blue circle",
    },
    "sdapi/v1/img2img": {
        **COMMON,
        "init_images": [RED],
        "mask": RED,
        "mask_blur": 4,
        "denoising_strength": 0.5,
        "inpainting_fill": 1,
    },
    "sdapi/v1/extra-single-image": {"image": RED, "upscaling_resize": 2, "upscaler_1": "Lanczos"},
    "sdapi/v1/extra-batch-images": {"imageList": [{"data": RED, "name": "a.png"}], "resize_mode": 1},
    "sdapi/v1/interrogate": {"image": RED, "model": "deepdanbooru"},
    "sdapi/v1/png-info": {"image": f"data:image/png;base64,{RED}"},
    "sdapi/v1/options": {"sd_model_checkpoint": "shapes", "CLIP_stop_at_last_layers": 1},
    "sdapi/v1/interrupt": {},
    "sdapi/v1/skip": {},
    "controlnet/detect": {
        "controlnet_module": "canny",
        "controlnet_input_images": [RED],
        "controlnet_processor_res": 64,
        "controlnet_threshold_a": 1.0,
        "controlnet_threshold_b": 2.0,
        "controlnet_masks": [RED],
    },
    "controlnet/render_openpose_json": [
        {
            "people": [
                {
                    "pose_keypoints_2d": [1.0] * 54,
                    "hand_left_keypoints_2d": [1.0] * 63,
                    "hand_right_keypoints_2d": None,
                    "face_keypoints_2d": None,
                }
            ],
            "animals": [[[1.0, 2.0, 1.0]] * 17],
            "canvas_width": 64,
            "canvas_height": 64,
        }
    ],
    "internal/progress": {"id_task": "task(1)", "id_live_preview": 0, "live_preview": True},
}
FIELDS = {
    "sdapi/v1/txt2img": [*TXT2IMG],
    "sdapi/v1/img2img": [*IMG2IMG],
    "sdapi/v1/extra-single-image": [*EXTRAS],
    "sdapi/v1/extra-batch-images": [*EXTRAS],
    "sdapi/v1/interrogate": [*INTERROGATE],
    "sdapi/v1/options": [*OPTIONS],
}


@pytest.fixture
def caller_with_room(alice, source, face_models):
    source.max_queued_jobs = 1_000_000
    source.save()
    ModelFile.objects.create(
        kind=Kind.CONTROLNET,
        family=Family.SD15,
        name="canny",
        path="controlnet/canny.safetensors",
        sha256="c" * 64,
    )
    ModelFile.objects.create(kind=Kind.TAGGER, name="wd", path="taggers/wd.onnx", sha256="d" * 64)
    return alice


def send(caller, route: str, body: bytes):
    return caller.client.post(f"/{route}", body, content_type="application/json")


def check(response) -> None:
    """The error format of the original; 500 only as the original sends it for its own checks."""
    assert response.status_code in (200, 400, 404, 405, 409, 413, 415, 422, 500, 503), response.status_code
    text = response.content.decode()
    assert "Traceback" not in text
    body = json.loads(text)
    if response.status_code >= 400:
        assert "detail" in body
    assert not isinstance(body, dict) or body.get("error") != "InternalError", text[:500]


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
        job_id = response.headers.get("X-Job-Id")
        assert Job.objects.count() == before + (1 if job_id else 0)
        if job_id:
            check(caller_with_room.get(f"jobs/{job_id}"))

    any_body()
    check_rows()
