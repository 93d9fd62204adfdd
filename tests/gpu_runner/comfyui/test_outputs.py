"""Outputs of every kind of node: images without a file name, and videos, judged by their bytes."""

import base64
import copy
import io

import pytest
from PIL import Image as PILImage
from pydantic import ValidationError

from gpu_runner.protocol import Done, Failed, GenerationRequest, Video
from gpu_runner.protocol.request_parts.video import Video as VideoSettings
from gpu_runner.protocol.video.media_types import UnknownMedia, media_of
from gpu_runner.protocol.workflows import slots
from tests.support.comfyui_outputs import animation, circle, clip
from tests.support.comfyui_templates import FLUX, FLUX_SLOTS, VIDEO_SAVERS, video_template


def image_workflow(class_type):
    graph = copy.deepcopy(FLUX)
    graph["9"] = {"class_type": class_type, "inputs": {"images": ["8", 0]}}
    named = {name: target for name, target in FLUX_SLOTS.items() if name != "filename_prefix"}
    return slots.read("flux", graph, named)


def video_workflow(saver):
    graph, named = video_template(saver)
    return slots.read("wan", graph, named, output="video")


@pytest.mark.parametrize("class_type", ["PreviewImage", "SaveImageWebsocket"])
def test_an_image_without_a_file_name_is_the_output(generate, make_request, class_type):
    plain = make_request(seed=9, workflow=image_workflow(class_type), width=96, num_inference_steps=20)
    for repeated in (1, 2):  # the second time from the cache of the server
        listener = generate(plain.model_copy(update={"job_id": f"job-{repeated}"}))
        assert isinstance(listener.end_event, Done), listener.end_event
        (image,) = listener.images
        with PILImage.open(io.BytesIO(base64.b64decode(image.data))) as opened:
            assert opened.size == (96, 64)
            assert not opened.info


@pytest.mark.parametrize(
    ("saver", "media_type"),
    [
        ("SaveAnimatedWEBP", "image/webp"),
        ("SaveAnimatedPNG", "image/apng"),
        ("SaveWEBM", "video/webm"),
        ("SaveVideo", "video/mp4"),
        ("VHS_VideoCombine", "video/mp4"),
    ],
)
def test_a_video_is_the_output_of_a_workflow_for_videos(generate, make_request, double, saver, media_type):
    video = VideoSettings(frames=5, fps=12)
    listener = generate(make_request(seed=9, workflow=video_workflow(saver), video=video))
    assert isinstance(listener.end_event, Done), listener.end_event
    (sent,) = [event for event in listener.events if isinstance(event, Video)]
    data = base64.b64decode(sent.data)
    assert media_of(data) == (media_type, True)
    assert sent.seed == 9
    graph = double.posted[0]["prompt"]
    assert graph["27"]["inputs"]["length"] == 5
    speed = {**graph["7"]["inputs"], **graph["9"]["inputs"]}
    assert speed.get("frame_rate", speed["fps"]) == 12
    if saver == "VHS_VideoCombine":  # it saves the first frame, too
        with PILImage.open(io.BytesIO(base64.b64decode(sent.poster))) as poster:
            assert poster.getpixel((16, poster.height // 2))[0] > 200


@pytest.mark.parametrize("saver", VIDEO_SAVERS)
def test_frames_of_the_graph_are_kept_if_the_request_names_none(generate, make_request, double, saver):
    generate(make_request(workflow=video_workflow(saver), video=VideoSettings()))
    assert double.posted[0]["prompt"]["27"]["inputs"]["length"] == 9


@pytest.mark.parametrize(
    ("saved", "reason"),
    [
        (b"<svg onload=alert(1)>", "a file of an unknown type"),
        (b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska", "Matroska"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0", "unknown type"),
        (b"MZ\x90\0", "unknown type"),
        (animation([circle((64, 64))], "PNG"), "still image"),
    ],
    ids=["svg", "matroska", "quicktime", "program", "still"],
)
def test_what_is_no_video_fails_by_name(generate, make_request, double, saved, reason):
    double.file_override = saved
    listener = generate(make_request(workflow=video_workflow("SaveVideo"), video=VideoSettings()))
    assert isinstance(listener.end_event, Failed)
    assert listener.end_event.code == "bad_request"
    assert reason in listener.end_event.message


def test_a_video_of_a_workflow_for_images_fails_by_name(generate, make_request, double):
    double.file_override = clip("circle.mp4")
    listener = generate(make_request(workflow=image_workflow("PreviewImage"), num_inference_steps=20))
    assert "the workflow saved a video (video/mp4)" in listener.end_event.message


def test_a_huge_output_fails_by_name(generate, make_request, double, monkeypatch):
    monkeypatch.setattr("gpu_runner.comfyui.client.MAX_OUTPUT_BYTES", 1000)
    listener = generate(make_request(workflow=video_workflow("SaveVideo"), video=VideoSettings()))
    assert "larger than" in listener.end_event.message


def test_names_do_not_decide_the_media_type():
    assert media_of(clip("circle.webm")) == ("video/webm", True)
    assert media_of(animation([circle((64, 64))], "WEBP")) == ("image/webp", False)
    assert media_of(animation([circle((64, 64)), circle((64, 64), 3)], "GIF")) == ("image/gif", True)
    with pytest.raises(UnknownMedia):
        media_of(b"")


def test_a_workflow_for_images_refuses_a_node_that_saves_videos():
    graph, named = video_template("SaveWEBM")
    with pytest.raises(ValueError, match="output: node 9 saves videos"):
        slots.read("wan", graph, named)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"task": "upscale"}, "video"),
        ({"output_format": "webp"}, "output_format"),
        ({"video": {"frames": 1}}, "video.frames"),
        ({"video": {"frames": 2001}}, "video.frames"),
        ({"video": {"fps": float("inf")}}, "video.fps"),
        ({"video": {"seconds": 2}}, "video.seconds"),
    ],
    ids=["task", "format", "one", "long", "fast", "unknown"],
)
def test_a_request_for_a_video_is_validated_by_name(fields, field):
    upscale = {"upscale": {}, "init_images": ({"sha256": "0" * 64},)} if "task" in fields else {}
    with pytest.raises(ValidationError) as refused:
        GenerationRequest(**({"video": {}} | upscale | fields))
    (problem,) = refused.value.errors()
    assert ".".join(map(str, problem["loc"])) == field or field in problem["msg"]
