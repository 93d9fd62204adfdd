"""Execution of one claimed job on a runner: read events, renew the lease, forward the client's signals.

A thread reads the event stream. The main loop wakes every ``POLL_INTERVAL_S``, so that the lease is renewed and
signals are forwarded while the runner sends nothing. No transaction is open during HTTP or storage calls.
"""

from __future__ import annotations

import base64
import logging
import queue
import threading
import time
from contextvars import copy_context
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from gpu_runner.protocol import (
    Accepted,
    ControlMap,
    Done,
    Environment,
    Event,
    Failed,
    Findings,
    Image,
    ImageFindings,
    ModelFile,
    Progress,
    RunRequest,
    TrainedFile,
    Video,
)
from jobs.errors import LeaseLost
from jobs.images import storage
from jobs.images.infotext.build import infotext
from jobs.images.storage_targets import copy
from jobs.images.storage_targets.copy import CopyFailed
from jobs.images.video.facts import BadVideo
from jobs.images.video.storage import store_video
from jobs.models import Job, Output, OutputKind, Preview, Runner, Signal, State
from models_registry.scanning.install_file import InstallError
from models_registry.selectors import training

from . import back_off, lifecycle, training_hours
from .lifecycle import Lease
from .outages import OUTAGES, through_outage
from .runner_client import CancelMode, NeverAccepted, RunnerClient, RunnerDied, RunnerError, RunnerUnreachable
from .trained_result import TrainedResult

log = logging.getLogger(__name__)

POLL_INTERVAL_S = 0.25  # progress is written, and signals are read, this often
MODES: dict[Signal, CancelMode] = {
    Signal.DISCARD: "discard",
    Signal.INTERRUPT: "interrupt",
    Signal.SKIP: "skip",
}
COPY_FAILED = "copy_failed"
BAD_OUTPUT = "bad_output"  # a video that cannot be stored, or not with its label
NOT_REGISTERED = "not_registered"  # the file of a training
HOURS_ENDED = "the hours of trainings ended: it goes on from its saved state when they begin"
PAUSE_AGAIN_S = 30.0  # after a trainer did not take a pause
GRACE_S = 15.0  # time for the runner to confirm a cancellation; then the job ends without it


class JobExecution:
    """Runs the job of one lease on its runner, and records the result."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.job = _job(lease)
        self.request = self.job.generation_request
        self.outputs: list[Output] = []
        self.findings: list[ImageFindings] = []
        self._infotexts: dict[int, str] = {}
        self.drawn = 0
        self.bad_output = ""  # why a video of the runner cannot be stored
        self.progress: Progress | None = None  # not yet written
        self.preview: str | None = None  # not yet written; kept from an earlier step if the newest has none
        self.accepted = False
        self.environment: Environment | None = None
        self.passed_on: set[Signal] = set()
        self.trained = TrainedResult(self.job) if self.request.training else None
        longest_s = settings.TRAINING_TIMEOUT_S if self.trained else settings.JOB_TIMEOUT_S
        self.give_up_at = time.monotonic() + longest_s
        self.timed_out = False
        self.paused = False
        self.next_pause = 0.0
        self.may_have_succeeded = False
        self.next_renewal = (
            time.monotonic() + settings.JOB_LEASE_S / 3
        )  # lifecycle.begin has just set the lease

    def run(self) -> None:
        """Run the job to completion. Raises LeaseLost, or RunnerError if the runner failed."""
        if self.job.runner is None:
            raise LeaseLost(str(self.lease.job_id))
        self.client = RunnerClient.of(self.job.runner)
        try:
            self._follow(Stream(self.client, self._order()))
        except (RunnerUnreachable, RunnerDied) as error:
            # No job is dispatched to the runner until the monitor reaches it again.
            Runner.objects.filter(jobs=self.job).update(problem=str(error)[:300])
            if isinstance(error, RunnerDied) and not self.accepted:
                raise NeverAccepted(str(error)) from error
            raise
        finally:
            if not self.may_have_succeeded:  # no row refers to these files
                self._delete_outputs()
            if self.trained:
                self.trained.discard()

    def _delete_outputs(self) -> None:
        storage.delete_files(self.outputs)
        if self.job.storage_target is not None:
            copy.delete_copies(self.job.storage_target, self.outputs)

    def _order(self) -> RunRequest:
        wanted, checkpoint = self.request.input_hashes(), self.job.checkpoint
        return RunRequest(
            job_id=self.lease.order_id,
            request=self.request,
            checkpoint=None
            if checkpoint is None
            else ModelFile(path=checkpoint.path, sha256=self.job.checkpoint_sha256, **training(checkpoint)),
            files={key: _file(kept) for key, kept in self.job.files.items()},
            workflow=self.job.workflow.workflow() if self.job.workflow else None,
            inputs={sha256: base64.b64encode(storage.read_input(sha256)).decode() for sha256 in wanted},
        )

    def _follow(self, stream: Stream) -> None:
        next_beat = time.monotonic() + POLL_INTERVAL_S
        while True:
            event = stream.next(max(0.0, next_beat - time.monotonic()))
            if event is not None and self._take(event):
                return
            if time.monotonic() >= next_beat:
                next_beat = time.monotonic() + POLL_INTERVAL_S
                if self._beat():
                    return

    # Events

    def _take(self, event: Event) -> bool:
        """Handle one event. Returns True after the final event, when the job has ended."""
        match event:
            case Accepted():
                self.accepted, self.environment = True, event.environment
                self._infotext(0)  # built now, while the runner generates
            case Progress():
                self.progress = event
                self.preview = event.preview or self.preview
                if self.trained:
                    self.trained.note(event)
            case TrainedFile():
                if self.trained is None:
                    raise RuntimeError("the runner sent a trained file, and the job is no training")
                self.trained.add(event)
            case ControlMap():
                self.outputs.append(storage.store_map(self.job, event))
            case Image():
                self._store(event)
                self.drawn += not event.extra
            case Video():
                self._store_video(event)
                self.drawn += 1
            case Findings():
                self.findings.append(ImageFindings(index=event.index, data=event.data))
            case Failed():
                self._failed(event)
                return True
            case Done():
                self._done(event)
                return True
        return False

    def _store(self, image: Image) -> None:
        text = self._infotext(self._number_of_seed(image))
        if image.regions_left_out:
            text = infotext(self.job, self.request, image.index, image.regions_left_out)
        self.outputs.append(storage.store_output(self.job, self.request, image, text))

    def _store_video(self, video: Video) -> None:
        try:
            self.outputs.append(store_video(self.job, self.request, video, self._infotext(video.index)))
        except BadVideo as error:
            log.warning("job %s: the video cannot be used: %s", self.lease.job_id, error)
            self.bad_output = self.bad_output or f"The video of the workflow cannot be used: {error}."

    def _number_of_seed(self, image: Image) -> int:
        """The image of the job that has its seed: all images of a ComfyUI prompt share one."""
        numbers = (image.index, *range(self.request.num_images))
        return next((number for number in numbers if self.request.seed_of(number) == image.seed), image.index)

    def _infotext(self, index: int) -> str:
        if index not in self._infotexts:
            self._infotexts[index] = infotext(self.job, self.request, index)
        return self._infotexts[index]

    def _done(self, done: Done) -> None:
        if self.bad_output:
            lifecycle.fail(self.lease, BAD_OUTPUT, self.bad_output, done)
            return
        interrupted = bool(self.passed_on & {Signal.INTERRUPT, Signal.SKIP})
        if max(self.drawn, len(self.findings)) < self.request.num_results and not interrupted:
            raise RuntimeError("the runner sent fewer results than requested")
        try:
            if self.trained:
                lifecycle.renew(self.lease)
                self.trained.install()
            self._copy_to_target()
        except CopyFailed:
            message = "The images could not be copied to the storage target."
            lifecycle.fail(self.lease, COPY_FAILED, message, done)
            return
        except InstallError as error:
            lifecycle.fail(self.lease, NOT_REGISTERED, error.message, done)
            return
        through_outage(lambda: self._succeed(done, interrupted), settings.JOB_LEASE_S)
        back_off.end(self.job)

    def _succeed(self, done: Done, interrupted: bool) -> None:
        is_repeated, self.may_have_succeeded = self.may_have_succeeded, True
        try:
            lifecycle.succeed(
                self.lease,
                done,
                self.outputs,
                self.findings,
                interrupted=interrupted,
                environment=self.environment,
                job=self.job,
            )
        except LeaseLost:
            self.may_have_succeeded = is_repeated and self._has_succeeded()
            if not self.may_have_succeeded:
                raise
        except OUTAGES:
            raise  # whether it was committed is not known
        except Exception:
            self.may_have_succeeded = False
            raise

    def _has_succeeded(self) -> bool:
        """Whether an interrupted attempt to end the job was committed after all."""
        ended = Job.objects.filter(pk=self.lease.job_id, attempt=self.lease.attempt, state=State.SUCCEEDED)
        return ended.exists()

    def _copy_to_target(self) -> None:
        """Copy the images and the extra images to the storage target. Before the job succeeds, because clients then read them."""
        if self.job.storage_target is None:
            return
        for output in self.outputs:
            if output.kind in (OutputKind.IMAGE, OutputKind.EXTRA):
                lifecycle.renew(self.lease)
                copy.copy(self.job.storage_target, output)

    def _failed(self, failed: Failed) -> None:
        if self.timed_out:
            lifecycle.fail(self.lease, "timeout", "The job took too long.", failed.work)
        elif failed.code == "lost":
            lifecycle.requeue(self.lease, note=failed.message, runner_died=True, done=failed.work)
        elif failed.code not in ("cancelled", "stopping"):
            back_off.record(self.job, failed)
            if back_off.may_go_elsewhere(self.job, failed):
                note = f"{self.job.runner}: {failed.code}: {failed.message}"
                lifecycle.requeue(self.lease, note=note, done=failed.work)
                return
            lifecycle.fail(self.lease, failed.code, failed.message, failed.work)
        elif Signal.DISCARD in self.passed_on:
            lifecycle.cancelled(self.lease, failed.work)
        elif self.paused and failed.code == "stopping":
            lifecycle.requeue(self.lease, note=HOURS_ENDED, done=failed.work)
        else:
            lifecycle.requeue(self.lease, note=f"the runner dropped it: {failed.message}", done=failed.work)

    # Polling

    def _beat(self) -> bool:
        """Renew the lease, forward signals, check the timeout. Returns True if the job was ended here."""
        try:
            signal = self._show_life()
        except OUTAGES as error:  # the job goes on; the lease decides for how long
            log.warning("job %s: the database is not reachable: %s", self.lease.job_id, error)
            connection.close()
            signal = None
        if signal is not None:
            self._pass_on(signal)
        if self.trained and not self.passed_on and not training_hours.are_open(timezone.now()):
            self._pause()
        if time.monotonic() < self.give_up_at:
            return False
        return self._give_up()

    def _show_life(self) -> Signal | None:
        now = time.monotonic()
        if self.progress is None and now < self.next_renewal:
            return lifecycle.pending_signal(self.lease)
        self.next_renewal = now + settings.JOB_LEASE_S / 3
        if self.progress is None:
            return lifecycle.renew(self.lease)
        newest, self.progress = self.progress, None
        preview, self.preview = self.preview, None
        if preview is not None:
            jpeg = base64.b64decode(preview)
            Preview.objects.update_or_create(job_id=self.lease.job_id, defaults={"jpeg": jpeg})
        return lifecycle.progress(self.lease, newest)

    def _pass_on(self, signal: Signal) -> None:
        """Forward a signal to the runner. Retried at each poll until the runner has accepted the job."""
        if not self.accepted or signal in self.passed_on - {Signal.SKIP}:
            return
        try:
            self.client.cancel(self.lease.order_id, MODES[signal])
        except RunnerError as error:
            log.warning("job %s: the runner did not take the signal %s: %s", self.lease.job_id, signal, error)
            return
        self.passed_on.add(signal)
        if signal == Signal.SKIP:
            lifecycle.skip_passed_on(self.lease)
        elif signal == Signal.DISCARD:
            self.give_up_at = min(self.give_up_at, time.monotonic() + GRACE_S)

    def _pause(self) -> None:
        """Have the trainer save its state and stop, because the hours of trainings have ended."""
        if not self.accepted or self.paused or time.monotonic() < self.next_pause:
            return
        self.next_pause = time.monotonic() + PAUSE_AGAIN_S
        try:
            self.client.cancel(self.lease.order_id, "pause")
        except RunnerError as error:
            log.warning("job %s: the trainer did not take the pause: %s", self.lease.job_id, error)
            return
        self.paused = True

    def _give_up(self) -> bool:
        """Handle a timeout: cancel the job on the runner, and after ``GRACE_S`` stop waiting for it.

        Returns True if the job was ended. Raises TimeoutError if the runner did not drop a timed-out job.
        """
        if Signal.DISCARD in self.passed_on:
            lifecycle.cancelled(self.lease)
            return True
        if self.timed_out:
            raise TimeoutError("the runner did not drop a job that took too long")
        self.timed_out = True
        self.give_up_at = time.monotonic() + GRACE_S
        try:
            self.client.cancel(self.lease.order_id)
        except RunnerError as error:
            log.warning("job %s: the runner did not take the time-out: %s", self.lease.job_id, error)
        return False


def _job(lease: Lease) -> Job:
    related = Job.objects.select_related("source", "runner", "checkpoint", "training").defer(
        "checkpoint__metadata"
    )
    job = related.filter(pk=lease.job_id).first()
    if job is None:
        raise LeaseLost(str(lease.job_id))
    return job


class Stream:
    """Event stream of a runner, read by its own thread until the final event or an error."""

    def __init__(self, client: RunnerClient, order: RunRequest) -> None:
        self._arrived: queue.SimpleQueue[Event | Exception] = queue.SimpleQueue()
        threading.Thread(
            target=copy_context().run, args=(self._read, client, order), name="events", daemon=True
        ).start()

    def next(self, timeout_s: float) -> Event | None:
        """Next event, or None after ``timeout_s`` seconds. Raises the error that ended the stream."""
        try:
            arrived = self._arrived.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if isinstance(arrived, Exception):
            raise arrived
        return arrived

    def _read(self, client: RunnerClient, order: RunRequest) -> None:
        try:
            for event in client.generate(order):
                self._arrived.put(event)
        except Exception as error:
            self._arrived.put(error)


def _file(kept: dict[str, Any]) -> ModelFile:
    return ModelFile(**{name: kept[name] for name in ModelFile.model_fields if name in kept})
