"""text2video and img2video: by the workflow template of a rule, with polling and webhook; else refused as before."""

import json
from collections.abc import Iterator

import pytest

from jobs.images.video import mp4
from jobs.models import Job
from models_registry.models import WorkflowRule
from tests.dialects.stablediffusionapi.conftest import data_uri, png
from tests.support.fake_runner import TOKEN
from tests.support.video_fleet import VideoFleet, template

pytestmark = [pytest.mark.slow, pytest.mark.django_db]


@pytest.fixture(scope="module")
def fleet() -> Iterator[VideoFleet]:
    fleet = VideoFleet()
    yield fleet
    fleet.close()


@pytest.fixture
def comfyui(fleet, settings, checkpoint):
    settings.RUNNER_TOKEN = TOKEN
    settings.STABLEDIFFUSIONAPI_WAIT_S = 0
    return fleet.connect()


def test_text2video_is_made_by_the_template_of_a_rule(alice, fleet, comfyui):
    made = template("VHS_VideoCombine", purpose="")
    WorkflowRule.objects.create(template=made, dialect="stablediffusionapi", purpose="video")
    body = {
        "prompt": "a red circle",
        "width": 64,
        "height": 64,
        "num_frames": 12,
        "fps": 8,
        "seed": 5,
        "guidance_scale": 4,
    }
    asked = alice.call("v6/video/text2video", num_inference_steps=3, output_type="mp4", track_id="t", **body)
    assert asked["status"] == "processing", asked
    assert (asked["output"], asked["future_links"]) == ([], [])
    assert asked["fetch_result"].endswith(f"/api/v6/video/fetch/{asked['id']}")
    job = fleet.run_next()
    inputs = {key: node["inputs"] for key, node in fleet.double.posted[-1]["prompt"].items()}
    assert (inputs["27"]["length"], inputs["9"]["frame_rate"], inputs["25"]["noise_seed"]) == (12, 8, 5)
    assert (inputs["17"]["steps"], inputs["26"]["guidance"], inputs["6"]["text"]) == (3, 4, "a red circle")
    fetched = alice.call(f"v6/video/fetch/{asked['id']}")
    assert fetched["status"] == "success", job.error_message
    (url,) = fetched["output"]
    assert url.endswith(".mp4")
    assert (fetched["meta"]["num_frames"], fetched["meta"]["fps"]) == (12, 8.0)
    file = alice.client.get(url.partition("testserver")[2])
    assert mp4.facts(file.getvalue()).frames == 12
    assert alice.call("v3/assets_generated", type="video")["data"][0]["url"] == url
    assert alice.call("v3/assets_generated")["pagination"]["total"] == 0, "a video is no image"
    assert alice.call("v3/delete_image", request_id=asked["id"])["message"] == "Request not found"
    deleted = alice.call("v3/delete_image", request_id=asked["id"], type="video")
    assert (deleted["status"], deleted["message"]) == ("success", "video deleted")


def test_img2video_begins_with_the_image_and_leaves_the_rest_to_the_template(alice, fleet, comfyui):
    template("SaveWEBM", from_image=True)
    asked = alice.call("v6/video/img2video", init_image=data_uri(png(128, 64)))
    assert asked["status"] == "processing", asked
    job = fleet.run_next()
    inputs = {key: node["inputs"] for key, node in fleet.double.posted[-1]["prompt"].items()}
    assert (inputs["27"]["width"], inputs["27"]["height"], inputs["27"]["length"]) == (128, 64, 9)
    assert (inputs["17"]["steps"], inputs["26"]["guidance"]) == (8, 3.5), "those of the graph"
    assert inputs["30"]["image"] in fleet.double.inputs
    assert job.image_outputs.get().content_type == "video/webm"


def test_seconds_are_frames_at_a_rate(alice, comfyui):
    template("SaveVideo")
    for path in ("v5/text2video", "v4/dreambooth/text2video", "v1/enterprise/text2video"):
        asked = alice.call(path, prompt="x", seconds="2", width=64, height=64)
        request = Job.objects.get(external_id=str(asked["id"])).generation_request
        assert (request.video.frames, request.video.fps) == (32, 16)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"num_frames": 1}, "num_frames"),
        ({"num_frames": "1e9"}, "num_frames"),
        ({"fps": "nan"}, "fps"),
        ({"seconds": -1}, "seconds"),
        ({"output_type": "gif"}, "output_type"),
        ({"upscale": "yes"}, "upscale"),
        ({"mask_image": "x"}, "mask_image"),
        ({"scheduler": "nothing"}, "scheduler"),
        ({"prompt": None}, "prompt"),
        ({"model_id": "a-model-that-is-not-here"}, "model_id"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else value,
)
def test_bad_values_are_refused_with_their_name(alice, comfyui, body, field):
    template("SaveVideo")
    message = alice.refused("v5/text2video", **body)
    assert field in str(message), message


def test_without_a_template_it_is_refused_as_before(alice, comfyui, workflow_templates):
    assert "no video models" in alice.refused("v5/text2video")
    template("SaveVideo")
    refused = alice.post("v6/video/img2video", init_image=data_uri(png()))
    assert (refused.status_code, Job.objects.count()) == (403, 0), "the template is for texts"
    assert "no video models" in refused.json()["message"]
