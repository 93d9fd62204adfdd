"""Server-sent events of a job: state changes, progress, previews, and the end.

The id of an event is ``<number of state changes>-<step>``, and that of the last one ``<number of state changes>-end``.
A client that reconnects with Last-Event-ID gets every state change that it missed, and the newest progress.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext as _
from pydantic import BaseModel

from dialects.native.errors import Problem
from jobs.execution.completion_waiter import wait_for
from jobs.execution.thread_shares import NoFreeThread, event_streams
from jobs.models import Job, Preview
from jobs.scheduling.eta import outlook, progress_of

from .schemas import StateChange, job_detail, state_change

POLL_INTERVAL_S = 0.25  # workers write progress this often
MAX_DURATION_S = 600  # then the client reconnects, and its key is checked again
RECONNECT_MS = 1000
EVENT_ID = re.compile(r"([0-9]{1,9})-([0-9]{1,9}|end)")
PREAMBLE = f"retry: {RECONNECT_MS}\n\n"
HEARTBEAT = ": heartbeat\n\n"
RETRY_AFTER_S = 5


class ProgressEvent(BaseModel):
    """Data of the event ``progress``."""

    step: int
    steps: int
    progress: float
    images_done: int
    ends_in_s: float | None


class PreviewEvent(BaseModel):
    """Data of the event ``preview``; ``image`` is a data URI."""

    step: int
    image: str


@dataclass
class Position:
    """Position of a client in the stream."""

    changes: int = 0
    step: int = 0
    ended: bool = False

    @classmethod
    def after(cls, event_id: str) -> Position:
        """The position after an event. The start for an id that is not one of this API."""
        match = EVENT_ID.fullmatch(event_id)
        if match is None:
            return cls()
        if match[2] == "end":
            return cls(int(match[1]), ended=True)
        return cls(int(match[1]), int(match[2]))

    def id(self) -> str:
        return f"{self.changes}-{'end' if self.ended else self.step}"


class EventStream:
    """Content of a streaming response. Counted until the web server closes it. Raises Problem 429 if the source has too many."""

    def __init__(self, job: Job, position: Position) -> None:
        self.job, self.position = job, position
        self._last_state: tuple[str, int] | None = None  # state and attempt
        self._is_open = True
        try:
            event_streams.acquire(job.source_id)
        except NoFreeThread:
            raise _too_many_streams() from None

    def close(self) -> None:
        """Stop counting it. The web server calls it even if the stream was never iterated."""
        if self._is_open:
            self._is_open = False
            event_streams.release(self.job.source_id)

    def __iter__(self) -> Iterator[str]:
        started = last_sent = time.monotonic()
        yield PREAMBLE
        while time.monotonic() - started < MAX_DURATION_S:
            for event in self._new_events():
                last_sent = time.monotonic()
                yield event
            if self.job.is_terminal:
                return
            if time.monotonic() - last_sent >= settings.EVENT_HEARTBEAT_S:
                last_sent = time.monotonic()
                yield HEARTBEAT  # also detects a disconnected client
            try:
                self.job = wait_for(self.job.pk, POLL_INTERVAL_S)
            except Job.DoesNotExist:
                return

    def _new_events(self) -> Iterator[str]:
        if self._last_state != (self.job.state, self.job.attempt):
            self._last_state = (self.job.state, self.job.attempt)
            yield from self._changes()
        if self.job.is_terminal:
            self.position.ended = True
            yield self._event("end", job_detail(self.job))
        elif self.job.step > self.position.step:
            yield from self._progress()

    def _changes(self) -> Iterator[str]:
        for change in _changes_after(self.job, self.position.changes):
            self.position.changes += 1
            self.position.step = 0
            yield self._event("state", change)

    def _progress(self) -> Iterator[str]:
        job = self.job
        self.position.step = job.step
        counts = {"step": job.step, "steps": job.steps, "images_done": job.images_done}
        event = ProgressEvent(**counts, progress=progress_of(job), ends_in_s=outlook(job).ends_in_s)
        yield self._event("progress", event)
        jpeg = Preview.objects.filter(job=job).values_list("jpeg", flat=True).first()
        if jpeg:
            image = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
            yield self._event("preview", PreviewEvent(step=job.step, image=image))

    def _event(self, name: str, data: BaseModel) -> str:
        return f"id: {self.position.id()}\nevent: {name}\ndata: {data.model_dump_json()}\n\n"


def _too_many_streams() -> Problem:
    detail = _("Too many open event streams. Close one, or poll the job.")
    headers = {"Retry-After": str(RETRY_AFTER_S)}
    return Problem(429, "too_many_streams", detail, headers=headers, retry_after=RETRY_AFTER_S)


def _changes_after(job: Job, count: int) -> list[StateChange]:
    return [state_change(transition) for transition in job.transitions.order_by("id")[count:]]
