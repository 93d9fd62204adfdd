"""Stopping what the caller runs. Nobody else's jobs are in reach."""

from __future__ import annotations

from access.models import AccessKey
from jobs.execution import lifecycle
from jobs.models import Signal, State

from .progress import active


def interrupt(key: AccessKey) -> None:
    """Running jobs keep the pictures they have; those that wait are cancelled."""
    for job in active(key):
        if job.state == State.RUNNING:
            lifecycle.signal(job.id, Signal.INTERRUPT)
        else:
            lifecycle.cancel(job.id, note="interrupted by its client")


def skip(key: AccessKey) -> None:
    for job in active(key).filter(state=State.RUNNING):
        lifecycle.signal(job.id, Signal.SKIP)
