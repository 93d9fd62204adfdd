"""Requeue jobs with expired leases; expire jobs that waited too long."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from jobs.errors import LeaseLost
from jobs.models import Job, Runner, State

from . import lifecycle
from .lifecycle import Lease

AT_ONCE = 500


@dataclass(frozen=True)
class SweepResult:
    put_back: int
    expired: int


def sweep() -> SweepResult:
    """Process at most ``AT_ONCE`` jobs of each kind."""
    return SweepResult(put_back=_put_back(), expired=_expire())


def died_with(runner: Runner, before: datetime, *, new_boot_id: str = "", held: Collection[str] = ()) -> int:
    """Requeue the jobs of a runner that died: those begun before ``before``, and not on ``new_boot_id``.

    ``held``: order ids that the new process already has; they were sent while it started, and are not requeued.
    A claimed job that no worker has begun is none of them. One that was begun after the runner was last seen may never have reached it, so it is not counted as a cause.
    Returns the number of requeued jobs.
    """
    jobs = Job.objects.filter(runner=runner, state=State.RUNNING, begun_at__lt=before)
    lost = jobs.exclude(runner_boot_id=new_boot_id).values_list("pk", "attempt", "begun_at")
    put_back, seen_at = 0, runner.seen_at
    for job_id, attempt, begun_at in lost:
        lease = Lease(job_id, attempt)
        if lease.order_id not in held:
            reached = bool(seen_at and begun_at and begun_at <= seen_at)
            note = "the runner died" if reached else lifecycle.NEVER_ACCEPTED
            put_back += _requeued(lease, note=note, runner_died=reached)
    return put_back


def _put_back() -> int:
    over = Job.objects.filter(state=State.RUNNING, lease_expires_at__lt=timezone.now())
    leases = [Lease(*row) for row in over.values_list("pk", "attempt")[:AT_ONCE]]
    return sum(_requeued(lease, note=lifecycle.LEASE_LOST, expired=True) for lease in leases)


def _expire() -> int:
    over = Job.objects.filter(state=State.QUEUED, expires_at__lt=timezone.now())
    return sum(lifecycle.expire(job_id) for job_id in over.values_list("pk", flat=True)[:AT_ONCE])


def _requeued(lease: Lease, **how: object) -> bool:
    try:
        lifecycle.requeue(lease, **how)  # type: ignore[arg-type]
    except LeaseLost:  # its worker ended it, or renewed the lease, meanwhile
        return False
    return True
