"""What a runner needs of its backend: the engine, or an adapter to another server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from gpu_runner.protocol import Event, RunRequest

from .status_report import Report

OnEvent = Callable[[Event], None]


class JobHandle(Protocol):
    """A job in the backend's hands."""

    def discard(self) -> None: ...


class Backend(Protocol):
    """What draws: the engine, or another server."""

    @property
    def alive(self) -> bool: ...

    def jobs(self) -> tuple[str, ...]: ...

    def submit(self, order: RunRequest, on_event: OnEvent) -> JobHandle: ...

    def cancel(self, job_id: str, mode: Literal["discard", "interrupt", "skip"]) -> bool: ...

    def unload(self) -> bool: ...

    def report(self) -> Report: ...
