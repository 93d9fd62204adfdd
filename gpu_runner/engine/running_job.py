"""A job in the engine's hands, and its pictures."""

from __future__ import annotations

import base64
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gpu_runner import logs
from gpu_runner.networks.operations import Operation
from gpu_runner.protocol import ControlMap, Done, Event, Failed, Image, Progress, RunRequest
from gpu_runner.tasks.denoising_loop import StopFlag
from gpu_runner.tasks.generation import Task
from gpu_runner.tasks.preparation.prepare import Prepared

from .finalize import Finished

log = logging.getLogger(__name__)

OnEvent = Callable[[Event], None]


@dataclass(eq=False)
class Picture:
    """A picture under way. ``ask`` is what it waits for."""

    run: Run
    index: int
    task: Task
    since: int  # the engine's turn in which it asked
    ask: Operation = field(init=False)
    steps: int = 0


@dataclass
class Batch:
    """The pictures of a job that are drawn at the same time."""

    number: int
    indices: range
    brake: StopFlag = field(default_factory=StopFlag)
    steps: dict[int, int] = field(default_factory=dict)  # of each picture, by its index
    drawn: int = 0
    previewed: int = 0  # the step that the last preview showed

    @property
    def is_drawn(self) -> bool:
        return self.drawn == len(self.indices)

    @property
    def step(self) -> int:
        return min(self.steps.get(index, 0) for index in self.indices)


class Run:
    """Its events come in order, and nothing comes after a Done or a Failed, from whatever thread they are sent."""

    prepared: Prepared  # set once, before the first batch

    def __init__(self, order: RunRequest, on_event: OnEvent) -> None:
        self.order = order
        self.closed = False
        self.batch: Batch | None = None
        self.beginning = False  # its next pictures are being begun right now
        self.last_batch = False  # an interrupt leaves no batch after the one under way
        self.steps_run = self.steps_shown = self.images_started = self.images_done = 0
        self.device_seconds = 0.0
        self._on_event = on_event
        self._lock = threading.RLock()
        self._began = time.monotonic()

    def emit(self, event: Event) -> None:
        with self._lock:
            if self.closed:
                return
            self.closed = isinstance(event, Done | Failed)
            try:
                self._on_event(event)
            except Exception:
                with logs.about(self.order.job_id):
                    log.exception("nobody listens to job %s any more", self.order.job_id)
                self.closed = True

    def discard(self) -> None:
        self.emit(Failed(code="cancelled", message="the job was cancelled", work=self.work()))

    def stop_batch(self, *, and_the_rest: bool) -> None:
        """The pictures under way end at their next estimate."""
        self.last_batch = self.last_batch or and_the_rest
        if self.batch is not None:
            self.batch.brake.pulled = True

    def next_batch(self) -> Batch | None:
        request = self.order.request
        start = 0 if self.batch is None else self.batch.indices.stop
        if start >= request.num_outputs or (self.last_batch and self.batch is not None):
            return None
        number = 0 if self.batch is None else self.batch.number + 1
        self.batch = Batch(number, range(start, min(start + request.batch_size, request.num_outputs)))
        self.batch.brake.pulled = self.last_batch
        return self.batch

    def begin_pictures(self, turn: int) -> list[Picture]:
        """Those of the next batch, before their first ask; none when there is no more to draw."""
        batch = self.next_batch()
        if batch is None:
            return []
        self.images_started += len(batch.indices)
        plan = self.prepared.plan
        return [Picture(self, index, plan.begin(index, batch.brake), turn) for index in batch.indices]

    def show_maps(self) -> None:
        for index, png in enumerate(self.prepared.maps):
            self.emit(ControlMap(index=index, data=base64.b64encode(png).decode()))

    def count_step(self, picture: Picture) -> None:
        picture.steps += 1
        self.steps_run += 1
        self.steps_shown += picture.steps <= self.prepared.plan.steps
        if self.batch is not None:
            self.batch.steps[picture.index] = picture.steps

    def count_drawn(self, picture: Picture) -> None:
        """A sampler that finds out its steps on the way may have taken fewer than were announced, or more."""
        self.steps_shown += max(0, self.prepared.plan.steps - picture.steps)

    @property
    def preview_is_due(self) -> bool:
        every, batch = self.order.request.preview_every, self.batch
        if self.order.request.nsfw.hides:  # nobody has looked at the picture yet
            return False
        if not every or batch is None or batch.step == batch.previewed or batch.step % every:
            return False
        batch.previewed = batch.step
        return True

    def report_progress(self, preview: bytes | None) -> None:
        request, batch = self.order.request, self.batch
        self.emit(
            Progress(
                step=self.steps_shown,
                steps=max(1, self.prepared.plan.steps * request.num_outputs),
                images_done=self.images_done,
                batch=batch.number if batch else 0,
                batch_step=batch.step if batch else 0,
                preview=None if preview is None else base64.b64encode(preview).decode(),
            )
        )

    def deliver(self, index: int, finished: Finished) -> None:
        verdict = finished.verdict
        self.images_done += 1
        if not self.order.request.denoises:
            self.steps_run += 1
            self.report_progress(None)
        self.emit(
            Image(
                index=index,
                seed=self.order.request.seed_of(index),
                width=finished.width,
                height=finished.height,
                data=base64.b64encode(finished.png).decode(),
                nsfw=None if verdict is None else verdict.detected,
                nsfw_score=None if verdict is None else verdict.score,
            )
        )

    def work(self) -> Done:
        """What was done up to now."""
        elapsed = time.monotonic() - self._began
        return Done(engine_seconds=elapsed, device_seconds=self.device_seconds, steps_run=self.steps_run)

    def finish(self) -> None:
        self.emit(self.work())
