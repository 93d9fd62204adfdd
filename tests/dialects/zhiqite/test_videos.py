"""图生视频: by the workflow template of a rule, with polling and callback; else refused as before."""

from collections.abc import Iterator

import pytest

from jobs.models import State
from models_registry.models import WorkflowRule
from tests.support.fake_runner import TOKEN
from tests.support.video_fleet import VideoFleet, template

pytestmark = [pytest.mark.slow, pytest.mark.django_db]
PATH = "tool/image2video"


@pytest.fixture(scope="module")
def fleet() -> Iterator[VideoFleet]:
    fleet = VideoFleet()
    yield fleet
    fleet.close()


@pytest.fixture
def comfyui(fleet, settings, checkpoint):
    settings.RUNNER_TOKEN = TOKEN
    return fleet.connect()


def test_video_is_made_of_the_image(alice, fleet, comfyui, web):
    made = template("SaveVideo", from_image=True, purpose="")
    WorkflowRule.objects.create(template=made, dialect="zhiqite", operation=PATH)
    body = {
        "businessTaskId": "v",
        "sourceImage": web.url("/red.png"),
        "prompt": "it moves",
        "frames": 12,
        "fps": 8,
    }
    job = alice.submit(PATH, body | {"steps": 3, "cfgScale": 2.5, "seed": 5})
    assert alice.task("v", f"{PATH}/queryTask")["status"] == 1
    job = fleet.run_next()
    assert job.state == State.SUCCEEDED, job.error_message
    inputs = {key: node["inputs"] for key, node in fleet.double.posted[-1]["prompt"].items()}
    assert (inputs["27"]["length"], inputs["7"]["fps"], inputs["17"]["steps"]) == (12, 8, 3)
    assert (inputs["26"]["guidance"], inputs["25"]["noise_seed"], inputs["6"]["text"]) == (2.5, 5, "it moves")
    task = alice.task("v", f"{PATH}/queryTask")
    assert (task["status"], task["businessTaskId"]) == (2, "v")
    assert task["outputVideoUrl"].endswith(".mp4")
    assert task["outputVideoUrl"] == task["outputImageUrl"]


def test_rule_may_be_chosen_by_a_type(alice, comfyui, web):
    made = template("SaveVideo", from_image=True, purpose="")
    WorkflowRule.objects.create(template=made, style="Wan2.2")
    body = {"businessTaskId": "v", "sourceImage": web.url("/red.png")}
    assert alice.submit(PATH, body | {"comfyTaskType": "Wan2.2"}).workflow == made
    assert "workflow template whose output is a video" in alice.refused(PATH, body)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("frames", 1),
        ("frames", 10**9),
        ("fps", 0),
        ("fps", "x"),
        ("steps", -1),
        ("width", 7),
        ("sourceImage", "x"),
    ],
)
def test_bad_values_are_refused_with_their_name(alice, comfyui, web, field, value):
    template("SaveVideo", from_image=True)
    body = {"businessTaskId": "v", "sourceImage": web.url("/red.png"), field: value}
    assert field in alice.refused(PATH, body)


def test_without_a_template_it_is_refused_as_before(alice, comfyui):
    assert "no videos are made here" in alice.refused(PATH, {"businessTaskId": "a"})
