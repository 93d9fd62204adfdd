"""An array of images that a workflow rule leads to a ComfyUI template."""

import base64

import pytest

from models_registry.models import WorkflowRule
from tests.support.comfyui_rows import DIFFUSION_MODEL, edit_template
from tests.support.fake_runner import png

pytestmark = [pytest.mark.slow, pytest.mark.django_db]
IMAGES = ["data:image/png;base64," + base64.b64encode(png(*size)).decode() for size in ((64, 64), (128, 64))]


def test_array_of_images_fills_the_slots_of_a_template(alice):
    rule = WorkflowRule.objects.create(template=edit_template(), dialect="ark", purpose="edit")
    job = alice.job(model=DIFFUSION_MODEL, image=IMAGES)
    assert job.workflow == rule.template
    assert len(job.generation_request.images) == 2
    assert len(job.received["image"]) == 2
    error = alice.post(model=DIFFUSION_MODEL, image=[IMAGES[0]] * 3).json()["error"]
    assert (error["param"], "takes 2 images (got 3)" in error["message"]) == ("image", True)


def test_refusal_says_which_image_of_an_array_cannot_be_used(alice):
    rule = WorkflowRule.objects.create(template=edit_template(), dialect="ark", purpose="edit")
    assert rule.template
    damaged = "data:image/png;base64," + base64.b64encode(png()[:40]).decode()
    error = alice.post(model=DIFFUSION_MODEL, image=[IMAGES[0], damaged]).json()["error"]
    assert (error["param"], "damaged" in error["message"]) == ("image[1]", True)


def test_array_without_a_template_is_refused(alice):
    assert "reference images" in alice.refused(image=IMAGES)["message"]
