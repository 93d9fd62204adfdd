"""Hostile values in every field: an error of the documented shape, never an internal one, and no half-written job."""

import json

import pytest
from hypothesis import given

from dialects.smzdm.request.fields import ChangeBackgroundFields, CutOutFields
from jobs.billing.ledger_check import inconsistencies
from jobs.models import Job, State, Transition
from models_registry.models import Kind
from tests.dialects.smzdm.conftest import register
from tests.support.hostile_values import FUZZ, bodies, encoded

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

BODY = {
    "from": "shop",
    "prompt": "beige theme",
    "negative_prompt": "a dog",
    "is_remove_bg": "True",
    "width": "64",
    "height": "64",
    "is_controlnet": True,
    "batch_size": 1,
    "mast_expend_num": -2,
    "sd_model_checkpoint": "shapes",
    "sd_lora_name": ["night"],
    "sd_lora_weight": [0.5],
    "api_type": "pipeline",
    "callback_url": "http://127.0.0.1:1/done",
    "taskid": 7,
    "steps": "3",
    "seed": 1,
    "upload_img_config": {"channel": "1202", "type": "public", "oper": "a", "public_host": False},
}
CUT_OUT = {"from": "shop", "is_mask": True, "model": "", "upload_img_config": BODY["upload_img_config"]}
BODIES = {"change_background": BODY, "rembg_img": CUT_OUT, "create_img_by_mj": {}}
FIELDS = {
    "change_background": [*ChangeBackgroundFields.model_fields],
    "rembg_img": [*CutOutFields.model_fields],
}


@pytest.fixture
def caller_with_room(alice, source, target):
    source.max_queued_jobs = 1_000_000
    source.save()
    register(Kind.LORA, "night", "loras/night.safetensors")
    return alice


@pytest.fixture
def image_urls(image_host):
    return {"img_url": image_host.url("/product.png"), "mask_url": image_host.url("/mask.png")}


def send(caller, route: str, body: bytes):
    return caller.client.post(f"/pictures/{route}", body, content_type="application/json")


def check(response) -> None:
    text = response.content.decode()
    assert response.status_code == 200
    assert "Traceback" not in text
    body = json.loads(text)
    assert {"error_code", "error_msg", "data"} <= set(body)
    assert body["error_msg"] != "Internal error."


def check_rows() -> None:
    assert list(inconsistencies()) == []
    assert Transition.objects.filter(to_state=State.QUEUED).count() == Job.objects.count()


@pytest.mark.parametrize("route", BODIES)
def test_every_field_accepts_or_refuses_any_value(caller_with_room, image_urls, route) -> None:
    @FUZZ
    @given(body=bodies(BODIES[route] | image_urls, FIELDS.get(route, ())))
    def any_body(body) -> None:
        before = Job.objects.count()
        response = send(caller_with_room, route, encoded(body))
        check(response)
        if response.json()["error_code"] not in (0, 1005):  # 1005: not finished within the maximum wait
            assert Job.objects.count() == before

    any_body()
    check_rows()
