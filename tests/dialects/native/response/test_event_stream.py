"""Server-sent events of a job, over a real socket."""

import json
import threading
from collections.abc import Iterator

import httpx
import pytest

from jobs.execution.thread_shares import event_streams
from tests.support import fake_runner as behaviors

pytestmark = pytest.mark.slow

Event = tuple[str, str, dict]  # id, name, data


def events(lines: Iterator[str]) -> Iterator[Event]:
    fields: dict[str, str] = {}
    for line in lines:
        if line and not line.startswith(":"):
            name, _colon, value = line.partition(": ")
            fields[name] = value
        elif fields.get("data"):
            yield fields.pop("id"), fields.pop("event"), json.loads(fields.pop("data"))


@pytest.fixture
def follow(live_server, alice):
    def follow(job, caller=alice, **headers):
        url = f"{live_server.url}/api/v1/jobs/{job.pk}/events"
        return httpx.stream("GET", url, headers=caller.headers | headers, timeout=60)

    return follow


def read(response: httpx.Response) -> list[Event]:
    return list(events(response.iter_lines()))


def test_stream_has_every_event_until_the_end(follow, alice, worker):
    worker.behavior = behaviors.generates_until_cancelled
    job = alice.submit()
    seen = []
    with follow(job) as stream:
        assert stream.headers["Content-Type"] == "text/event-stream"
        for event in events(stream.iter_lines()):
            seen.append(event)
            if event[1] == "preview":
                alice.post(f"jobs/{job.pk}/interrupt")
    changes = [data["to_state"] for _id, name, data in seen if name == "state"]
    assert changes == ["queued", "running", "succeeded"]
    progress = next(data for _id, name, data in seen if name == "progress")
    assert (progress["step"], progress["steps"]) == (1, 20)
    preview = next(data for _id, name, data in seen if name == "preview")
    assert preview["image"].startswith("data:image/jpeg;base64,")
    last_id, last_name, last = seen[-1]
    assert (last_id, last_name, last["state"]) == ("3-end", "end", "succeeded")
    assert len(last["outputs"]) == 1


def test_reconnecting_client_gets_the_missed_events(follow, alice, runner, live_server):
    job = alice.submit()
    alice.post(f"jobs/{job.pk}/cancel")
    with follow(job) as stream:
        everything = read(stream)
    assert [event_id for event_id, _name, _data in everything] == ["1-0", "2-0", "2-end"]
    for index, (event_id, _name, _data) in enumerate(everything[:-1]):
        with follow(job, **{"Last-Event-ID": event_id}) as stream:
            assert read(stream) == everything[index + 1 :]


def test_reconnecting_after_the_end_is_204(follow, alice):
    job = alice.submit()
    alice.post(f"jobs/{job.pk}/cancel")
    with follow(job, **{"Last-Event-ID": "2-end"}) as stream:
        assert stream.status_code == 204


def test_unknown_event_id_starts_from_the_beginning(follow, alice):
    job = alice.submit()
    alice.post(f"jobs/{job.pk}/cancel")
    with follow(job, **{"Last-Event-ID": "4711"}) as stream:
        assert len(read(stream)) == 3


def test_idle_stream_sends_heartbeats(follow, alice, settings):
    settings.EVENT_HEARTBEAT_S = 0
    job = alice.submit()
    with follow(job) as stream:
        assert next(line for line in stream.iter_lines() if line.startswith(":"))
    alice.post(f"jobs/{job.pk}/cancel")


def test_number_of_open_streams_of_a_source_is_limited(follow, alice, charlie, settings):
    settings.EVENT_STREAMS_PER_SOURCE = 1
    mine, theirs = alice.submit(), charlie.submit()
    with follow(mine) as first:
        lines = first.iter_lines()
        next(lines)
        with follow(mine) as second:
            assert second.status_code == 429
            assert second.headers["Retry-After"]
        with follow(theirs, charlie) as other:
            assert other.status_code == 200
            charlie.post(f"jobs/{theirs.pk}/cancel")
        alice.post(f"jobs/{mine.pk}/cancel")
        assert [name for _id, name, _data in events(lines)][-1] == "end"


def test_ended_stream_releases_its_slot(follow, alice, settings):
    settings.EVENT_STREAMS_PER_SOURCE = 1
    job = alice.submit()
    alice.post(f"jobs/{job.pk}/cancel")
    for _ in range(3):
        with follow(job) as stream:
            read(stream)
        released = threading.Event()
        while event_streams.held_by(alice.key.source_id):
            released.wait(0.01)
