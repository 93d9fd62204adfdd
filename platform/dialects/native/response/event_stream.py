"""A job's life as server-sent events, until it ends.

An event's id is ``<changes of state so far>-<step>``; the last event's is ``<changes>-end``. A client that comes back with
Last-Event-ID gets what it missed: every change of state, and the newest progress.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings
from pydantic import BaseModel

from jobs.execution.completion_waiter import wait_for
from jobs.models import Job, Preview
from jobs.scheduling.eta import outlook, progress_of

from .schemas import Step, job_detail, step
from .sse_slots import slots

BEAT_S = 0.25  # a worker writes no more often
LONGEST_S = 600  # then the client comes back, with a key that is checked again
RECONNECT_MS = 1000
EVENT_ID = re.compile(r"([0-9]{1,9})-([0-9]{1,9}|end)")
PREAMBLE = f"retry: {RECONNECT_MS}\n\n"
HEARTBEAT = ": still here\n\n"


class ProgressEvent(BaseModel):
    step: int
    steps: int
    progress: float
    images_done: int
    ends_in_s: float | None


class PreviewEvent(BaseModel):
    step: int
    image: str


@dataclass
class Position:
    """What the client has seen."""

    changes: int = 0
    step: int = 0
    ended: bool = False

    @classmethod
    def after(cls, event_id: str) -> Position:
        """From the start when it is none of ours."""
        match = EVENT_ID.fullmatch(event_id)
        if match is None:
            return cls()
        if match[2] == "end":
            return cls(int(match[1]), ended=True)
        return cls(int(match[1]), int(match[2]))

    def id(self) -> str:
        return f"{self.changes}-{'end' if self.ended else self.step}"


class EventStream:
    """Iterated by the web server, and closed by it, too, whether or not it was ever iterated."""

    def __init__(self, job: Job, seen: Position) -> None:
        self.job, self.seen = job, seen
        self._life: tuple[str, int] | None = None  # state and attempt as of the last look
        self._is_open = True
        slots.take(job.source_id)

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            slots.give_back(self.job.source_id)

    def __iter__(self) -> Iterator[str]:
        began = spoke = time.monotonic()
        yield PREAMBLE
        while time.monotonic() - began < LONGEST_S:
            for event in self._news():
                spoke = time.monotonic()
                yield event
            if self.job.is_terminal:
                return
            if time.monotonic() - spoke >= settings.EVENT_HEARTBEAT_S:
                spoke = time.monotonic()
                yield HEARTBEAT  # also how a client that has gone is noticed
            try:
                self.job = wait_for(self.job.pk, BEAT_S)
            except Job.DoesNotExist:
                return

    def _news(self) -> Iterator[str]:
        if self._life != (self.job.state, self.job.attempt):
            self._life = (self.job.state, self.job.attempt)
            yield from self._changes()
        if self.job.is_terminal:
            self.seen.ended = True
            yield self._event("end", job_detail(self.job))
        elif self.job.step > self.seen.step:
            yield from self._progress()

    def _changes(self) -> Iterator[str]:
        for change in _changes_after(self.job, self.seen.changes):
            self.seen.changes += 1
            self.seen.step = 0
            yield self._event("state", change)

    def _progress(self) -> Iterator[str]:
        job = self.job
        self.seen.step = job.step
        counts = {"step": job.step, "steps": job.steps, "images_done": job.images_done}
        done = ProgressEvent(**counts, progress=progress_of(job), ends_in_s=outlook(job).ends_in_s)
        yield self._event("progress", done)
        jpeg = Preview.objects.filter(job=job).values_list("jpeg", flat=True).first()
        if jpeg:
            image = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
            yield self._event("preview", PreviewEvent(step=job.step, image=image))

    def _event(self, name: str, data: BaseModel) -> str:
        return f"id: {self.seen.id()}\nevent: {name}\ndata: {data.model_dump_json()}\n\n"


def _changes_after(job: Job, count: int) -> list[Step]:
    return [step(transition) for transition in job.transitions.order_by("id")[count:]]
