"""``stream: true``: partial images, completed images and errors as server-sent events, over a real socket."""

import io
import json
from typing import Any

import httpx
import pytest
from PIL import Image

from access.keys.bearer_tokens import opaque_token
from jobs.execution.thread_shares import event_streams
from jobs.models import Job, Preview
from tests.dialects.openai.conftest import PROMPT, pixels_of
from tests.support import fake_runner as behaviors
from tests.support.fake_runner import png

pytestmark = pytest.mark.slow


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        if lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


@pytest.fixture
def stream(live_server, alice):
    """The events of a request."""

    def stream(path: str = "generations", files: Any = None, **body: Any):
        headers = {"Authorization": f"Bearer {opaque_token(alice.key.key_id, alice.secret)}"}
        url = f"{live_server.url}/v1/images/{path}"
        body = {"prompt": PROMPT, "size": "64x64", "stream": True} | body
        content = {"data": body, "files": files} if files else {"json": body}
        response = httpx.post(url, headers=headers, timeout=60, **content)
        assert response.status_code == 200, response.content
        assert response.headers["Content-Type"].startswith("text/event-stream")
        return events(response.text)

    return stream


@pytest.mark.field("openai_images", "stream")
def test_stream_ends_with_every_finished_image(stream, worker):
    found = stream(n=2, user="7")
    assert [name for name, _data in found] == ["image_generation.completed"] * 2
    for name, data in found:
        assert data["type"] == name
        assert pixels_of(data["b64_json"]).size == (64, 64)
        assert (data["size"], data["quality"], data["output_format"]) == ("64x64", "medium", "png")
        assert (data["background"], data["safety_identifier"]) == ("opaque", "7")
        assert data["created_at"]
    assert sum(data["usage"]["total_tokens"] for _name, data in found) == 3 + 32


def test_events_of_an_edit_have_its_name(stream, worker):
    files = {"image": ("a.png", png(64, 64), "image/png")}
    (event,) = stream("edits", files, stream="true", prompt="red")
    assert event[0] == "image_edit.completed"


def test_failure_is_an_event_with_the_error(stream, worker):
    worker.behavior = behaviors.fails_with_oom
    ((name, data),) = stream()
    assert (name, data["type"]) == ("error", "error")
    assert (data["error"]["type"], data["error"]["code"]) == ("server_error", "out_of_memory")
    assert data["error"]["message"]


def test_image_that_the_nsfw_policy_rejects_is_an_event_with_the_error(stream, worker):
    worker.behavior = behaviors.rejects_its_output
    ((_name, data),) = stream()
    assert data["error"]["code"] == "moderation_blocked"


def test_job_that_takes_too_long_is_an_event_with_its_id(stream, runner, settings):
    settings.JOB_WAIT_S = 0.5
    ((_name, data),) = stream()
    assert (data["error"]["code"], data["error"]["job_id"]) == ("still_running", str(Job.objects.get().pk))


@pytest.mark.django_db(transaction=True)
def test_idle_stream_sends_heartbeats(alice, live_server, settings):
    settings.JOB_WAIT_S, settings.EVENT_HEARTBEAT_S = 0.6, 0
    response = httpx.post(
        f"{live_server.url}/v1/images/generations",
        headers={"Authorization": f"Bearer {alice.key.key_id}:{alice.secret}"},
        json={"prompt": PROMPT, "size": "64x64", "stream": True},
    )
    assert response.text.startswith(": heartbeat\n\n")


@pytest.mark.field("openai_images", "partial_images")
@pytest.mark.parametrize(
    ("partial_images", "quality", "every"), [(1, "auto", 10), (3, "auto", 5), (3, "max", 10)]
)
def test_previews_are_spread_over_the_steps(alice, settings, partial_images, quality, every):
    response = alice.generate(stream=True, partial_images=partial_images, quality=quality)
    assert alice.job(response).generation_request.preview_every == every
    response.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_previews_are_partial_images_in_the_format_of_the_output(alice, settings, monkeypatch, wanted):
    settings.JOB_WAIT_S, settings.EVENT_HEARTBEAT_S = 3, 100
    colors = iter(["blue", "green", "red", "yellow"])

    def next_step(job_id, _timeout_s):
        """Each look at the job finds another step and preview."""
        color = next(colors, None)
        state = {"step": 1} if color is None else {"step": Job.objects.get(pk=job_id).step + 1}
        Job.objects.filter(pk=job_id).update(**state)
        if color is None:
            settings.JOB_WAIT_S = 0
        else:
            file = _jpeg(color)
            Preview.objects.update_or_create(job_id=job_id, defaults={"jpeg": file})
        return Job.objects.get(pk=job_id)

    monkeypatch.setattr("dialects.job_stream.wait_for", next_step)
    response = alice.generate(stream=True, partial_images=wanted, output_format="webp")
    found = events("".join(part.decode() for part in response.streaming_content))
    partial = [data for name, data in found if name == "image_generation.partial_image"]
    assert [data["partial_image_index"] for data in partial] == list(range(wanted))
    for data, color in zip(partial, [(0, 0, 254), (0, 128, 1)], strict=False):
        image = pixels_of(data["b64_json"])
        assert (image.format, image.size) == ("WEBP", (64, 64))
        pixel = image.convert("RGB").getpixel((32, 32))
        assert max(abs(one - other) for one, other in zip(pixel, color, strict=True)) < 8
        assert (data["type"], data["output_format"]) == ("image_generation.partial_image", "webp")
        assert data["created_at"]


def _jpeg(color: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), color).save(file, "JPEG")
    return file.getvalue()


def test_number_of_open_streams_is_limited_and_a_refused_one_submits_nothing(alice, settings):
    settings.EVENT_STREAMS_PER_SOURCE = 1
    first = alice.generate(stream=True)
    refused = alice.generate(stream=True)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert refused["Retry-After"]
    assert Job.objects.count() == 1
    first.close()
    assert event_streams.held_by(alice.key.source_id) == 0


def test_refused_request_releases_its_slot(alice):
    assert alice.generate(stream=True, size="1x1").status_code == 400
    assert event_streams.held_by(alice.key.source_id) == 0
