"""Server-sent events that answer the request of a job: previews while it runs, and what it ends with.

A streaming response occupies a web thread, so each source has a share of them. Take a ``StreamSlot`` before the job is
admitted: a client without a slot must not be charged.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.http import StreamingHttpResponse

from jobs.execution.completion_waiter import wait_for
from jobs.execution.thread_shares import event_streams
from jobs.models import Job, Preview

POLL_INTERVAL_S = 0.25  # workers write progress this often
HEARTBEAT = ": heartbeat\n\n"


def sse_event(data: Any, name: str = "") -> str:
    """One event. ``data`` is written as JSON, or as it is if it is text."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    lines = "".join(f"data: {line}\n" for line in text.split("\n"))
    return (f"event: {name}\n" if name else "") + lines + "\n"


class StreamSlot:
    """A source's permission to hold one event stream open. Raises NoFreeThread if it has its share of them."""

    def __init__(self, source_id: int) -> None:
        self._source_id = source_id
        event_streams.acquire(source_id)
        self._is_held = True

    def release(self) -> None:
        """May be called more than once."""
        if self._is_held:
            self._is_held = False
            event_streams.release(self._source_id)


class JobStream:
    """Events of a job. A dialect's subclass renders them; the job goes on if the client disconnects."""

    def __init__(self, job: Job, slot: StreamSlot) -> None:
        self.job, self._slot = job, slot

    def on_preview(self, jpeg: bytes) -> Iterator[str]:
        """Events for a new preview of ``self.job``, a JPEG file."""
        yield from ()

    def on_end(self) -> Iterator[str]:
        """The last events. ``self.job`` has ended, or is still running after JOB_WAIT_S seconds."""
        raise NotImplementedError

    def response(self) -> StreamingHttpResponse:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingHttpResponse(self, content_type="text/event-stream; charset=utf-8", headers=headers)

    def close(self) -> None:
        """Called by the web server, even if the stream was never iterated."""
        self._slot.release()

    def __iter__(self) -> Iterator[str]:
        try:
            yield from self._events()
        finally:
            self.close()

    def _events(self) -> Iterator[str]:
        started = last_sent = time.monotonic()
        step, newest = 0, b""
        while not self.job.is_terminal and time.monotonic() - started < settings.JOB_WAIT_S:
            try:
                self.job = wait_for(self.job.pk, POLL_INTERVAL_S)
            except Job.DoesNotExist:
                return
            if not self.job.is_terminal and self.job.step > step:
                step, older, newest = self.job.step, newest, self._newest_preview()
                for event in self.on_preview(newest) if newest and newest != older else ():
                    last_sent = time.monotonic()
                    yield event
            if time.monotonic() - last_sent >= settings.EVENT_HEARTBEAT_S:
                last_sent = time.monotonic()
                yield HEARTBEAT  # also detects a disconnected client
        yield from self.on_end()

    def _newest_preview(self) -> bytes:
        jpeg = Preview.objects.filter(job=self.job).values_list("jpeg", flat=True).first()
        return bytes(jpeg or b"")
