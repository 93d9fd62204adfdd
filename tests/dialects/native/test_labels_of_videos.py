"""Route labels/read with videos: labels of any MP4 and WebM file, and the caller's job by its number."""

import pytest

from jobs.images.labels.implicit import ImplicitLabel
from jobs.images.video import mp4, webm
from tests.support.comfyui_outputs import clip

ROUTE = "/api/v1/labels/read"
CLIPS = [("mp4", mp4, "mp4_metadata"), ("webm", webm, "webm_tag")]


def label_of(number: str) -> ImplicitLabel:
    values = {"Label": "1", "ContentProducer": "花店", "ProduceID": number}
    return ImplicitLabel(values, "trainedAlgorithmicMedia", number=number)


def labeled(form, name: str, number: str) -> bytes:
    label = label_of(number)
    return form.labeled(form.without_metadata(clip(f"circle.{name}")), label.aigc_json, label.xmp)


@pytest.mark.parametrize(("name", "form", "place"), CLIPS, ids=["mp4", "webm"])
def test_labels_of_a_video_and_its_job_are_read(name, form, place, alice, charlie, work):
    job = alice.submit()
    work()
    data = labeled(form, name, f"{job.pk}-0")
    answers = [
        client.client.post(ROUTE, data, content_type=f"video/{name}").json() for client in (alice, charlie)
    ]
    for answer in answers:
        assert answer["aigc"]["ContentProducer"] == "花店"
        assert answer["places"] == ["xmp", place]
        assert answer["digital_source_type"].endswith("trainedAlgorithmicMedia")
    own, other = (answer["origins"] for answer in answers)
    assert [(found["job_id"], found["found_by"]) for found in own] == [(str(job.pk), "number")]
    assert other == []


@pytest.mark.parametrize(("name", "form", "place"), CLIPS, ids=["mp4", "webm"])
def test_damaged_videos_are_read_or_refused(name, form, place, alice):
    data = labeled(form, name, "job-0")
    for end in range(12, len(data), len(data) // 20):
        broken = data[:end] + bytes(len(data) - end)
        answer = alice.client.post(ROUTE, broken, content_type="application/octet-stream")
        assert answer.status_code in (200, 422), answer.content


def test_upload_of_an_input_image_takes_no_video(alice):
    answer = alice.client.post("/api/v1/pictures", clip("circle.mp4"), content_type="video/mp4")
    assert answer.status_code == 415
