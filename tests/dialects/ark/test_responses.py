"""Answers and events of finished jobs."""

import base64
import io
import time

import pytest
from PIL import Image

from jobs.execution.thread_shares import event_streams, waiting_requests
from jobs.models import Job, Signal, State
from models_registry.models import Kind
from tests.support import fake_runner as behaviors

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

SMALL = {"size": "64x64"}
THREE = {"sequential_image_generation": "auto", "sequential_image_generation_options": {"max_images": 3}}


def stops_after_the_first(stream: behaviors.JobStream) -> None:
    """Sends one image, interrupts its own job, and ends with the images that there are."""
    stream.accept()
    stream.send_image(0)
    Job.objects.update(signal=Signal.INTERRUPT)
    stream.wait_for_cancellation()
    stream.finish(steps=1)


def hides_the_second(stream: behaviors.JobStream) -> None:
    stream.accept()
    for index in range(3):
        stream.send_image(index, nsfw=index == 1, nsfw_score=0.9)
    stream.finish()


@pytest.mark.field("ark_images_generations", "response_format")
@pytest.mark.field(
    "ark_images_generations_answer",
    "model",
    "created",
    "data.url",
    "data.size",
    "data.output_format",
    "usage.generated_images",
    "usage.output_tokens",
    "usage.total_tokens",
)
def test_answer_with_urls(alice, worker):
    started = int(time.time())
    response = alice.post(**SMALL)
    assert response.status_code == 200, response.content
    body = response.json()
    job = Job.objects.get(pk=response["X-Job-Id"])
    assert body["model"] == "shapes"
    assert started <= body["created"] <= time.time()
    (item,) = body["data"]
    assert item.keys() == {"url", "size", "output_format"}
    assert (item["size"], item["output_format"]) == ("64x64", "jpeg")
    assert body["usage"] == {
        "generated_images": 1,
        "input_images": 0,
        "output_tokens": 16,
        "total_tokens": 16,
    }
    image = alice.client.get(item["url"].removeprefix("http://testserver"))
    assert image["Content-Type"] == "image/jpeg"
    assert job.state == State.SUCCEEDED


@pytest.mark.field("ark_images_generations", "response_format")
@pytest.mark.field("ark_images_generations_answer", "data.b64_json", "usage.input_images")
def test_answer_with_base64(alice, worker, red):
    fields = {"response_format": "b64_json", "output_format": "png", "image": red}
    body = alice.post(**SMALL, **fields, **THREE).json()
    assert [item["output_format"] for item in body["data"]] == ["png"] * 3
    for item in body["data"]:
        assert item.keys() == {"b64_json", "size", "output_format"}
        image = Image.open(io.BytesIO(base64.b64decode(item["b64_json"])))
        assert (image.format, image.size) == ("PNG", (64, 64))
    assert body["usage"]["generated_images"] == 3
    assert body["usage"]["input_images"] == 1


@pytest.mark.field("ark_images_generations", "watermark")
def test_watermark_is_drawn(alice, worker):
    fields = {"response_format": "b64_json", "output_format": "png", "size": "128x128"}
    colors = {}
    for wanted in (False, True):
        (item,) = alice.post(**fields, watermark=wanted).json()["data"]
        image = Image.open(io.BytesIO(base64.b64decode(item["b64_json"]))).convert("RGB")
        colors[wanted] = image.getcolors(99999)
        if wanted:
            assert image.crop((0, 0, 64, 128)).getcolors() == [(64 * 128, (255, 0, 0))]
    assert len(colors[False]) == 1
    assert len(colors[True]) > 1


def test_output_is_the_input_of_the_next_request(alice, worker):
    url = alice.post(**SMALL).json()["data"][0]["url"]
    body = alice.post(**SMALL, image=url).json()
    assert body["usage"]["input_images"] == 1


@pytest.mark.field("ark_images_generations_answer", "data.error.code", "data.error.message")
def test_image_that_the_policy_blanks_is_an_error_of_its_slot(alice, worker, source, model):
    model(Kind.NSFW, "open_nsfw")
    source.nsfw_policy = "blank"
    source.save()
    worker.behavior = hides_the_second
    body = alice.post(**SMALL, **THREE).json()
    assert [item.keys() & {"url", "error"} for item in body["data"]] == [{"url"}, {"error"}, {"url"}]
    assert body["data"][1]["error"] == {
        "code": "OutputImageSensitiveContentDetected",
        "message": "The output image may contain sensitive information.",
    }
    assert body["usage"]["generated_images"] == 2


def test_job_that_the_policy_refuses(alice, worker):
    worker.behavior = behaviors.rejects_its_output
    response = alice.post(**SMALL)
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["code"], error["type"]) == ("OutputImageSensitiveContentDetected", "BadRequest")


def test_stopped_job_has_errors_in_the_missing_slots(alice, worker):
    worker.behavior = stops_after_the_first
    body = alice.post(**SMALL, **THREE).json()
    assert [item.keys() & {"url", "error"} for item in body["data"]] == [{"url"}, {"error"}, {"error"}]
    assert body["data"][2]["error"]["code"] == "InternalServiceError"


@pytest.mark.parametrize(
    ("behavior", "status", "code"),
    [
        (behaviors.fails_with_oom, 500, "InternalServiceError"),
        (behaviors.rejects_the_input, 400, "InvalidParameter"),
    ],
)
def test_failed_job(alice, worker, behavior, status, code):
    worker.behavior = behavior
    response = alice.post(**SMALL)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert response["x-should-retry"] == "false"
    assert response["X-Job-Id"]


def test_repeated_request_has_the_same_answer_and_price(alice, worker):
    once = {"Idempotency-Key": "once"}
    first, again = alice.post(once, **SMALL), alice.post(once, **SMALL)
    assert first.json() == again.json()
    assert Job.objects.count() == 1


# Waiting


def test_job_that_takes_too_long_is_cancelled(alice, checkpoint):
    response = alice.post(**SMALL)
    assert (response.status_code, response["x-should-retry"]) == (504, "false")
    assert response.json()["error"]["type"] == "InternalServerError"
    assert Job.objects.get().state == State.CANCELLED


def test_job_with_an_idempotency_key_goes_on(alice, checkpoint):
    response = alice.post({"Idempotency-Key": "once"}, **SMALL)
    assert response.status_code == 504
    assert "Idempotency-Key" in response.json()["error"]["message"]
    assert Job.objects.get().state == State.QUEUED


def test_source_at_its_share_of_waiting_requests(alice, checkpoint, settings):
    settings.JOB_WAIT_S, settings.WAITING_REQUESTS_PER_SOURCE = 60, 0
    response = alice.post(**SMALL)
    assert (response.status_code, response.json()["error"]["code"]) == (429, "RateLimitExceeded")
    assert int(response["Retry-After"]) > 0
    assert Job.objects.get().state == State.CANCELLED
    assert not waiting_requests.held_by(alice.access_key.source_id)


# Streams


@pytest.mark.field("ark_images_generations", "stream")
def test_stream_of_several_images(alice, worker):
    events = alice.stream(**SMALL, **THREE, response_format="b64_json")
    assert [name for name, _data in events] == [
        *["image_generation.partial_succeeded"] * 3,
        "image_generation.completed",
        "",
    ]
    assert events[-1][1] == "[DONE]"
    for index, (name, data) in enumerate(events[:3]):
        assert data.keys() == {"type", "model", "created", "image_index", "b64_json", "size"}
        assert (data["type"], data["model"], data["image_index"]) == (name, "shapes", index)
        assert base64.b64decode(data["b64_json"])[:3] == b"\xff\xd8\xff"
    usage = events[3][1]["usage"]
    assert (usage["generated_images"], usage["output_tokens"]) == (3, 48)
    assert not event_streams.held_by(alice.access_key.source_id)


def test_stream_has_failed_images_last(alice, worker, source, model):
    model(Kind.NSFW, "open_nsfw")
    source.nsfw_policy = "blank"
    source.save()
    worker.behavior = hides_the_second
    events = alice.stream(**SMALL, **THREE)
    named = [(name.rpartition(".")[2], data["image_index"]) for name, data in events[:3]]
    assert named == [("partial_succeeded", 0), ("partial_succeeded", 2), ("partial_failed", 1)]
    assert events[2][1]["error"]["code"] == "OutputImageSensitiveContentDetected"
    assert events[3][1]["usage"]["generated_images"] == 2


def test_stream_of_a_failed_job(alice, worker):
    worker.behavior = behaviors.fails_with_oom
    events = alice.stream(**SMALL)
    assert [name for name, _data in events] == [
        "image_generation.partial_failed",
        "image_generation.completed",
        "",
    ]
    assert events[0][1]["error"]["code"] == "InternalServiceError"
    assert events[1][1]["usage"]["generated_images"] == 0


def test_refused_stream_is_an_error_response(alice, checkpoint):
    assert alice.refused(404, stream=True, model="none")["code"] == "InvalidEndpointOrModel.NotFound"
    assert not event_streams.held_by(alice.access_key.source_id)


def test_stream_of_a_job_that_takes_too_long(alice, checkpoint):
    (name, data), done = alice.stream(**SMALL)
    assert (name, data["error"]["code"], done) == ("error", "InternalServiceError", ("", "[DONE]"))
    assert Job.objects.get().state == State.CANCELLED


def test_job_of_a_client_that_hangs_up_is_cancelled(alice, checkpoint, settings):
    settings.JOB_WAIT_S = 60
    alice.post(stream=True, **SMALL).close()
    assert Job.objects.get().state == State.CANCELLED
    assert not event_streams.held_by(alice.access_key.source_id)


def test_job_with_an_idempotency_key_outlives_its_stream(alice, checkpoint, settings):
    settings.JOB_WAIT_S = 60
    alice.post({"Idempotency-Key": "once"}, stream=True, **SMALL).close()
    assert Job.objects.get().state == State.QUEUED


def test_source_at_its_share_of_streams_is_not_charged(alice, checkpoint, settings):
    settings.EVENT_STREAMS_PER_SOURCE = 0
    response = alice.post(stream=True, **SMALL)
    assert (response.status_code, response.json()["error"]["code"]) == (429, "RateLimitExceeded")
    assert not Job.objects.exists()


def test_other_tenants_get_another_job_for_the_same_key(alice, charlie, worker):
    once = {"Idempotency-Key": "once"}
    first, second = alice.post(once, **SMALL), charlie.post(once, **SMALL)
    assert first["X-Job-Id"] != second["X-Job-Id"]


def test_prompt_in_an_unknown_language_is_announced(alice, worker):
    assert "Chinese" in alice.post(**SMALL | {"prompt": "红色的圆"})["X-Atelier-Warning"]


@pytest.mark.field("ark_images_generations", "watermark")
def test_watermark_false_that_the_label_of_the_source_overrides_is_announced(alice, worker, source):
    assert "X-Atelier-Warning" not in alice.post(**SMALL, watermark=False)
    source.explicit_label = "on"
    source.save()
    assert "X-Atelier-Warning" not in alice.post(**SMALL)
    response = alice.post(**SMALL, watermark=False)
    warning = "watermark=false is overridden: the images of this source have a visible label"
    assert response["X-Atelier-Warning"] == warning
    job = Job.objects.get(pk=response["X-Job-Id"])
    assert job.transitions.earliest("pk").note == warning
    assert job.image_outputs[0].visible_texts == ["AI生成"]
