"""Protocol of a runner's backend: the engine, or an adapter to another server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gpu_runner.protocol import CancelMode, Event, RunRequest

from .status_report import Report

OnEvent = Callable[[Event], None]


class JobHandle(Protocol):
    """Handle of a submitted job."""

    def discard(self) -> None:
        """Cancel the job because its client has disconnected."""


class Backend(Protocol):
    """Runs jobs. Implemented by Engine and ComfyBackend."""

    @property
    def alive(self) -> bool:
        """False if the backend has failed and the process must be restarted."""
        ...

    def jobs(self) -> tuple[str, ...]:
        """Return the ids of the accepted jobs."""
        ...

    def submit(self, run_request: RunRequest, on_event: OnEvent) -> JobHandle:
        """Start a job. ``on_event`` is called from another thread, and for the last time with Done or Failed."""
        ...

    def cancel(self, job_id: str, mode: CancelMode) -> bool:
        """Cancel a job. Returns False if the job is unknown, or if the backend does not have the mode."""
        ...

    def unload(self) -> bool:
        """Free all models. Returns False while jobs are running."""
        ...

    def report(self) -> Report:
        """Return the state for ``GET /status``."""
        ...
