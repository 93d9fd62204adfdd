"""The running jobs of a backend whose jobs run apart from each other, by their id."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from gpu_runner.protocol import CancelMode, Done, Event, Failed, RunRequest

from .backend import OnEvent

STOP_WAIT_S = 3.0


class RunningJob(Protocol):
    """A job that tells its end by ``ended``. ``steps_run``: of samplers or optimizers."""

    run_request: RunRequest
    steps_run: int
    ended: threading.Event

    def start(self) -> None: ...

    def cancel(self, mode: CancelMode) -> None: ...

    def discard(self) -> None: ...


AnyJob = TypeVar("AnyJob", bound=RunningJob)


class RunningJobs(Generic[AnyJob]):
    """Keeps each job from its start to its last event, and counts the steps of all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[str, AnyJob] = {}
        self._steps_of_ended = 0

    def ids(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(self._jobs)

    @property
    def steps_total(self) -> int:
        """Steps of all jobs since the start of the process, with the running ones."""
        with self._lock:
            return self._steps_of_ended + sum(job.steps_run for job in self._jobs.values())

    def start(self, create: Callable[[OnEvent], AnyJob], on_event: OnEvent) -> AnyJob:
        """Start the job that ``create`` makes for a handler of its events. A running job with the same id is discarded."""

        def handle_event(event: Event) -> None:
            if isinstance(event, Done | Failed):
                self._forget(job)
            on_event(event)

        job = create(handle_event)
        job_id = job.run_request.job_id
        with self._lock:
            older, self._jobs[job_id] = self._jobs.get(job_id), job
        if older is not None:
            older.discard()
        job.start()
        return job

    def cancel(self, job_id: str, mode: CancelMode) -> bool:
        """Cancel a job. Returns False if the job is unknown."""
        with self._lock:
            job = self._jobs.get(job_id)
        if job is None:
            return False
        job.cancel(mode)
        return True

    def stop(self, end: Callable[[AnyJob], None]) -> None:
        """Call ``end`` with every job, and wait for their ends."""
        with self._lock:
            jobs = list(self._jobs.values())
        for job in jobs:
            end(job)
        for job in jobs:
            job.ended.wait(STOP_WAIT_S)

    def _forget(self, job: AnyJob) -> None:
        with self._lock:
            if self._jobs.get(job.run_request.job_id) is job:
                del self._jobs[job.run_request.job_id]
            self._steps_of_ended += job.steps_run
