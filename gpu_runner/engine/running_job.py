"""State of a running job and its images."""

from __future__ import annotations

import base64
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gpu_runner import logs
from gpu_runner.networks.operations import Denoise, Operation
from gpu_runner.protocol import (
    ControlMap,
    Done,
    Event,
    Failed,
    Findings,
    Image,
    Progress,
    RunRequest,
)
from gpu_runner.tasks.denoising_loop import StopFlag
from gpu_runner.tasks.generation import Task
from gpu_runner.tasks.preparation.prepare import Prepared

from .finalize import Examined, Finished

log = logging.getLogger(__name__)

OnEvent = Callable[[Event], None]


@dataclass(eq=False)
class ImageInProgress:
    """An image in progress. ``operation`` is its pending operation."""

    run: Run
    index: int
    task: Task
    since: int  # engine turn in which ``operation`` was submitted
    operation: Operation = field(init=False)
    steps: int = 0
    steps_left_out: int = 0  # of those in the plan

    @property
    def progress(self) -> int:
        """Steps of the plan that are done or not needed."""
        return self.steps + self.steps_left_out


@dataclass
class Batch:
    """Images of a job that are generated at the same time."""

    number: int
    indices: range
    stop_flag: StopFlag = field(default_factory=StopFlag)
    steps: dict[int, int] = field(default_factory=dict)  # steps done, by image index
    generated: int = 0
    previewed: int = 0  # step of the last preview

    @property
    def is_generated(self) -> bool:
        return self.generated == len(self.indices)

    @property
    def step(self) -> int:
        return min(self.steps.get(index, 0) for index in self.indices)


class Run:
    """State of a running job. Thread-safe: events are ordered, and none follows Done or Failed."""

    prepared: Prepared  # set once, before the first batch

    def __init__(self, run_request: RunRequest, on_event: OnEvent) -> None:
        self.run_request = run_request
        self.closed = False
        self.batch: Batch | None = None
        self.starting_batch = False  # the images of its next batch are being created
        self.last_batch = False  # set by an interrupt: no batch after the current one
        self.steps_run = self.steps_reported = self.images_started = self.images_done = 0
        self.pixel_steps = 0
        self.device_seconds = 0.0
        self._on_event = on_event
        self._lock = threading.RLock()
        self._began = time.monotonic()

    def emit(self, event: Event) -> None:
        """Send an event to the client. Ignored once the job is closed."""
        with self._lock:
            if self.closed:
                return
            self.closed = isinstance(event, Done | Failed)
            try:
                self._on_event(event)
            except Exception:
                with logs.about(self.run_request.job_id):
                    log.exception("client of job %s disconnected", self.run_request.job_id)
                self.closed = True

    def discard(self) -> None:
        """Fail the job as cancelled."""
        self.emit(Failed(code="cancelled", message="the job was cancelled", work=self.work()))

    def stop_batch(self, *, no_further_batches: bool) -> None:
        """End the current batch after its next step; with ``no_further_batches``, start no other one."""
        self.last_batch = self.last_batch or no_further_batches
        if self.batch is not None:
            self.batch.stop_flag.requested = True

    def next_batch(self) -> Batch | None:
        """Advance to the next batch, or return None if there is none."""
        request = self.run_request.request
        start = 0 if self.batch is None else self.batch.indices.stop
        if start >= request.num_results or (self.last_batch and self.batch is not None):
            return None
        number = 0 if self.batch is None else self.batch.number + 1
        self.batch = Batch(number, range(start, min(start + request.batch_size, request.num_results)))
        self.batch.stop_flag.requested = self.last_batch
        return self.batch

    def start_next_batch(self, turn: int) -> list[ImageInProgress]:
        """Create the images of the next batch, before their first operation; empty if there is none."""
        batch = self.next_batch()
        if batch is None:
            return []
        self.images_started += len(batch.indices)
        plan = self.prepared.plan
        return [
            ImageInProgress(self, index, plan.begin(index, batch.stop_flag), turn) for index in batch.indices
        ]

    def emit_control_maps(self) -> None:
        """Emit the preprocessed control images."""
        for index, png in enumerate(self.prepared.maps):
            self.emit(ControlMap(index=index, data=base64.b64encode(png).decode()))

    def count_step(self, image: ImageInProgress) -> None:
        image.steps += 1
        self.steps_run += 1
        if isinstance(image.operation, Denoise):
            self.pixel_steps += image.operation.pixels
        self.steps_reported += image.progress <= self.prepared.plan.steps
        if self.batch is not None:
            self.batch.steps[image.index] = image.progress

    def leave_out_steps(self, image: ImageInProgress, count: int) -> None:
        """Count steps of the plan that the image does not need as done."""
        if not count:
            return
        image.steps_left_out += count
        self.steps_reported += count
        if self.batch is not None:
            self.batch.steps[image.index] = image.progress
        self.report_progress(None)

    def correct_progress(self, image: ImageInProgress) -> None:
        """Correct the progress at the end of an image: an adaptive sampler may take fewer steps."""
        self.steps_reported += max(0, self.prepared.plan.steps - image.progress)

    @property
    def preview_is_due(self) -> bool:
        every, batch = self.run_request.request.preview_every, self.batch
        if self.run_request.request.nsfw.hides:  # a preview would bypass the NSFW check
            return False
        if not every or batch is None or batch.step == batch.previewed or batch.step % every:
            return False
        batch.previewed = batch.step
        return True

    def report_progress(self, preview: bytes | None) -> None:
        request, batch = self.run_request.request, self.batch
        self.emit(
            Progress(
                step=self.steps_reported,
                steps=max(1, self.prepared.plan.steps * request.num_results),
                images_done=self.images_done,
                batch=batch.number if batch else 0,
                batch_step=batch.step if batch else 0,
                preview=None if preview is None else base64.b64encode(preview).decode(),
            )
        )

    def deliver(self, index: int, finished: Finished | Examined) -> None:
        """Emit a finished image, or what was found in one and its crops."""
        self.images_done += 1
        if not self.run_request.request.denoises:
            self.steps_run += 1
            self.report_progress(None)
        if isinstance(finished, Finished):
            self.emit(self._image(index, finished))
        else:
            self.emit(Findings(index=index, data=finished.finding))
            for number, crop in enumerate(finished.crops, index):
                self.emit(self._image(number, crop))

    def _image(self, index: int, finished: Finished) -> Image:
        verdict = finished.verdict
        return Image(
            index=index,
            seed=self.run_request.request.seed_of(index),
            width=finished.width,
            height=finished.height,
            data=base64.b64encode(finished.png).decode(),
            nsfw=None if verdict is None else verdict.detected,
            nsfw_score=None if verdict is None else verdict.score,
            regions_left_out=finished.regions_left_out,
        )

    def work(self) -> Done:
        """Usage of the job up to now."""
        elapsed = time.monotonic() - self._began
        return Done(
            engine_seconds=elapsed,
            device_seconds=self.device_seconds,
            steps_run=self.steps_run,
            pixel_steps=self.pixel_steps if self.run_request.request.denoises else None,
        )

    def finish(self) -> None:
        self.emit(self.work())
