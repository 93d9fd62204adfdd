"""Edits that a workflow rule leads to a ComfyUI template: several images, and names that only rules or servers have."""

import hashlib

import pytest

from jobs.models import Backend, Job
from models_registry.models import WorkflowRule
from tests.dialects.openai.conftest import mask_file
from tests.support.comfyui_rows import DIFFUSION_MODEL, edit_template
from tests.support.fake_runner import png

pytestmark = [pytest.mark.slow, pytest.mark.django_db]
FIRST, SECOND = png(64, 64), png(128, 64)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def rule(db) -> WorkflowRule:
    return WorkflowRule.objects.create(template=edit_template(), dialect="openai", purpose="edit")


def edited(alice, **fields) -> Job:
    return alice.job(alice.edit(**fields, **{"async": "true"}))


def test_images_of_an_edit_are_the_references_of_its_template(alice, rule):
    job = edited(alice, **{"image[]": [FIRST, SECOND]})
    request = job.generation_request
    assert (job.backend, job.workflow) == (Backend.COMFYUI, rule.template)
    assert [image.sha256 for image in request.images] == [sha256(FIRST), sha256(SECOND)]
    assert request.init_images == ()
    assert job.received["image"] == [f"sha256:{sha256(FIRST)}", f"sha256:{sha256(SECOND)}"]
    assert job.request["checkpoint"] == "", "the template has its own, and the client has named none"


def test_refusal_says_which_of_several_images_cannot_be_used(alice, rule):
    response = alice.edit(**{"image[]": [FIRST, SECOND[:60]]})
    error = response.json()["error"]
    assert (response.status_code, error["param"], "damaged" in error["message"]) == (400, "image[1]", True)


def test_wrong_number_of_images_is_refused_by_name(alice, rule):
    response = alice.edit(**{"image[]": [FIRST] * 15})
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, "image")
    assert "takes 2 images (got 15)" in error["message"]
    one = alice.edit(image=FIRST).json()["error"]
    assert (one["param"], "takes 2 images (got 1)" in one["message"]) == ("image", True)
    assert not Job.objects.exists()


def test_edit_without_a_rule_takes_one_image(alice):
    error = alice.edit(**{"image[]": [FIRST, SECOND]}).json()["error"]
    assert error["param"] == "image"
    assert "takes no reference images, and no workflow template" in error["message"]


def test_mask_and_variations_go_with_one_image_only(alice, rule):
    masked = alice.edit(**{"image[]": [FIRST, SECOND], "mask": mask_file((64, 64))}).json()["error"]
    assert masked["param"] == "mask"
    varied = alice.form("images/variations", {"image": [FIRST, SECOND]}).json()["error"]
    assert varied["param"] == "image"


def test_models_of_servers_and_names_of_rules_are_listed_and_draw(alice, rule):
    WorkflowRule.objects.create(template=rule.template, dialect="openai", model="house-editor")
    listed = {model["id"] for model in alice.get("models").json()["data"]}
    assert {"shapes", DIFFUSION_MODEL, "house-editor"} <= listed
    assert alice.get("models/house-editor").json()["id"] == "house-editor"
    job = edited(alice, **{"image[]": [FIRST, SECOND], "model": "house-editor"})
    assert job.workflow == rule.template
    rule.template.rules.all().delete()
    assert not {DIFFUSION_MODEL, "house-editor"} & {one["id"] for one in alice.get("models").json()["data"]}
    assert alice.generate(model="house-editor").status_code == 404
