"""Videos from admission to their URL: routing, refusals, cost, storage, and the doors that have no place for them."""

import base64
import io
import json
from collections.abc import Iterator

import pytest
from django.test import Client
from PIL import Image

from access.models import AccessKey
from gpu_runner.protocol.request_parts.outputs import Nsfw
from gpu_runner.protocol.request_parts.video import Video
from jobs.admission.admit import admit
from jobs.admission.quote import quote
from jobs.errors import Unsupported
from jobs.images import signed_urls
from jobs.images.label_report import report
from jobs.images.storage import read_output
from jobs.images.video import mp4, recoding
from jobs.images.video.storage import shown_image
from jobs.models import Job, Runner, State
from jobs.retention.erase import erase_images
from models_registry.models import WorkflowRule, WorkflowTemplate
from tests.support.comfyui_double import Double
from tests.support.comfyui_outputs import clip
from tests.support.fake_runner import TOKEN
from tests.support.video_fleet import VideoFleet, template

pytestmark = [pytest.mark.slow, pytest.mark.django_db]


@pytest.fixture(scope="module")
def fleet() -> Iterator[VideoFleet]:
    fleet = VideoFleet()
    yield fleet
    fleet.close()


@pytest.fixture
def double(fleet) -> Double:
    return fleet.double


@pytest.fixture
def comfyui(fleet, settings, checkpoint) -> Runner:
    settings.RUNNER_TOKEN = TOKEN
    return fleet.connect()


@pytest.fixture
def run_next(fleet):
    return fleet.run_next


@pytest.fixture
def unlabeled(source):
    """The source has no visible label, so that no package is needed to draw one."""
    source.explicit_label = "off"
    source.unlabeled_consent = "contract 7"
    source.save()
    return source


@pytest.fixture
def labeled(source):
    source.explicit_label = "on"
    source.save()
    return source


def test_a_video_is_stored_with_its_facts_and_without_the_graph(
    comfyui, run_next, unlabeled, submission, settings, client
):
    settings.PUBLIC_URL = "https://images.example"
    template("VHS_VideoCombine")
    admit(submission(video=Video(frames=12, fps=8), seed=5))
    job = run_next()
    assert job.state == State.SUCCEEDED, job.error_message
    (output,) = job.image_outputs
    assert (output.content_type, output.width, output.height) == ("video/mp4", 64, 48)
    assert (output.frames, output.duration_s, output.frame_rate, output.seed) == (12, 1.5, 8.0, 5)
    assert output.file.name.endswith(".mp4")
    data = read_output(output)
    assert b"secret" not in data
    with Image.open(io.BytesIO(shown_image(output))) as poster:
        red, _green, _blue = poster.convert("RGB").getpixel((poster.width // 4, poster.height // 2))
        assert red > 180
    (url,) = signed_urls.output_urls(job, "https://images.example")
    whole = client.get(url.removeprefix("https://images.example"))
    assert (whole.status_code, whole["Content-Type"], whole.getvalue()) == (200, "video/mp4", data)
    part = client.get(url.removeprefix("https://images.example"), headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.getvalue()) == (206, b"ftyp")
    files = [output.file.path, output.poster.path]
    erase_images(job)
    assert not any(output.file.storage.exists(file) for file in files)


def test_the_implicit_label_is_in_the_container(comfyui, run_next, unlabeled, submission, settings):
    settings.CONTENT_PRODUCER = "花店"
    template("SaveVideo")
    admit(submission(video=Video()))
    job = run_next()
    data = read_output(job.image_outputs.get())
    assert json.loads(mp4.aigc_of(data))["ContentProducer"] == "花店"
    assert b"trainedAlgorithmicMedia" in mp4.xmp_of(data)
    found = report(data, None)
    assert found.labels.aigc["ContentProducer"] == "花店"
    assert found.labels.places == ["xmp", "mp4_metadata"]
    (origin,) = found.origins
    assert (origin.output.job_id, origin.found_by, origin.same_file) == (job.pk, "number", True)


def test_a_labeled_source_gets_animations_with_the_label_on_each_frame(
    comfyui, run_next, labeled, submission
):
    template("SaveAnimatedWEBP")
    admit(submission(video=Video(frames=3), width=160, height=128))
    job = run_next()
    assert job.state == State.SUCCEEDED, job.error_message
    (output,) = job.image_outputs
    assert (output.content_type, output.frames, output.poster.name) == ("image/webp", 3, "")
    assert output.visible_texts == ["AI生成"]
    with Image.open(io.BytesIO(read_output(output))) as opened:
        for index in range(3):
            opened.seek(index)
            corner = opened.convert("L").crop((80, 100, 160, 128))
            low, high = corner.getextrema()
            assert high - low > 100


def test_a_label_that_cannot_be_drawn_is_refused_at_admission(comfyui, labeled, submission, monkeypatch):
    template("SaveVideo")
    monkeypatch.setattr(recoding, "is_available", lambda: False)
    (refused,) = quote(submission(video=Video())).refusals
    assert refused.code == "label_not_possible"
    assert "SaveVideo" in refused.message
    with pytest.raises(Unsupported, match="av is not installed"):
        admit(submission(video=Video()))


def test_a_video_of_another_type_than_its_node_says_is_not_handed_out_without_its_label(
    comfyui, run_next, labeled, submission, monkeypatch, double
):
    template("SaveAnimatedWEBP")
    monkeypatch.setattr(recoding, "is_available", lambda: False)
    double.file_override = clip("circle.mp4")
    try:
        admit(submission(video=Video(), seed=77))
        job = run_next()
    finally:
        double.file_override = b""
    assert (job.state, job.error_code) == (State.FAILED, "bad_output")
    assert "visible label cannot be drawn" in job.error_message
    assert not job.outputs.exists()


def test_cost_counts_the_frames(comfyui, unlabeled, submission):
    made = template("SaveVideo")
    asked = {"width": 200, "height": 200, "num_inference_steps": 10}
    assert float(quote(submission(video=Video(frames=5), **asked)).cost) == pytest.approx(10 * 0.04 * 5)
    assert float(quote(submission(video=Video(), **asked)).cost) == pytest.approx(10 * 0.04 * 9), (
        "those of the graph"
    )
    made.cost_frames = 2
    made.save()
    assert float(quote(submission(video=Video(frames=5), **asked)).cost) == pytest.approx(10 * 0.04 * 2)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "makes videos"),
        ({"video": Video(fps=3)}, "video.fps"),
        ({"video": Video(), "nsfw": Nsfw(policy="refuse")}, "nsfw"),
    ],
    ids=["image", "no slot", "filter"],
)
def test_what_a_template_for_videos_cannot_do_is_refused_by_name(
    comfyui, unlabeled, submission, fields, reason
):
    made = template("SaveVideo")
    del made.slots["video.fps"]
    made.save()
    WorkflowRule.objects.create(template=made)
    refused = quote(submission(**fields)).refusals
    assert any(reason in one.message for one in refused), [one.message for one in refused]


def test_no_template_for_videos_is_a_refusal(comfyui, unlabeled, submission, workflow_templates):
    (refused,) = quote(submission(video=Video())).refusals
    assert "workflow template whose output is a video" in refused.message
    WorkflowRule.objects.create(template=WorkflowTemplate.objects.get(name="txt2img"))
    assert quote(submission(video=Video())).refusals, "a template for images does not do"


@pytest.fixture
def rule(comfyui, unlabeled) -> WorkflowRule:
    """All requests lead to a template for videos."""
    return WorkflowRule.objects.create(template=template("SaveVideo", purpose=""))


DOORS = {
    "a1111": ("/sdapi/v1/txt2img", {"prompt": "x"}),
    "openai": ("/v1/images/generations", {"prompt": "x", "model": "shapes"}),
    "ark": ("/api/v3/images/generations", {"prompt": "x", "model": "shapes"}),
    "stablediffusionapi": ("/api/v3/text2img", {"prompt": "x"}),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_door_for_images_refuses_a_template_for_videos(rule, unlabeled, checkpoint, door):
    key, secret = AccessKey.issue(unlabeled)
    path, body = DOORS[door]
    basic = base64.b64encode(f"{key.key_id}:{secret}".encode()).decode()
    scheme = f"Basic {basic}" if door == "a1111" else f"Bearer {key.key_id}:{secret}"
    body |= {"key": f"{key.key_id}:{secret}"} if door == "stablediffusionapi" else {}
    headers = {"Authorization": scheme}
    response = Client().post(path, body, content_type="application/json", headers=headers)
    assert "makes videos" in response.content.decode(), response.content
    assert response.status_code < 500
    assert not Job.objects.exists()


def test_our_own_api_makes_videos(comfyui, run_next, unlabeled, checkpoint):
    template("SaveWEBM")
    key, secret = AccessKey.issue(unlabeled)
    headers = {"Authorization": f"Bearer {key.key_id}:{secret}"}
    body = {"task": "txt2img", "prompt": "a red circle", "width": 64, "height": 64, "video": {"frames": 12}}
    client = Client()
    response = client.post("/api/v1/jobs", body, content_type="application/json", headers=headers)
    assert response.status_code == 201, response.content
    run_next()
    job = client.get(f"/api/v1/jobs/{response.json()['id']}", headers=headers).json()
    (output,) = job["outputs"]
    assert (output["content_type"], output["frames"], output["duration_s"]) == ("video/webm", 12, 1.5)
    file = client.get(output["url"], headers=headers)
    assert file["Content-Type"] == "video/webm"
    wrong = client.post(
        "/api/v1/jobs",
        body | {"video": {"frames": 1, "x": 2}},
        content_type="application/json",
        headers=headers,
    )
    assert wrong.status_code == 422
