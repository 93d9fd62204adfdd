"""Putting right what nobody else will: leases whose worker is gone, and jobs that waited for too long."""

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
    return SweepResult(put_back=_put_back(), expired=_expire())


def died_with(runner: Runner, before: datetime, *, new_boot_id: str = "", held: Collection[str] = ()) -> int:
    """Puts back what the runner ran before it died: everything that started ``before``, and not on the new process.

    What that holds, by its orders' names, is left alone: it waited at its door while it started. A job that started
    after the runner was last seen may never have reached it, and is not blamed for the death.
    """
    jobs = Job.objects.filter(runner=runner, state=State.RUNNING, started_at__lt=before)
    lost = jobs.exclude(runner_boot_id=new_boot_id).values_list("pk", "attempt", "started_at")
    put_back, seen_at = 0, runner.seen_at
    for job_id, attempt, started_at in lost:
        lease = Lease(job_id, attempt)
        if lease.order_id not in held:
            reached = bool(seen_at and started_at and started_at <= seen_at)
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
    except LeaseLost:  # its worker ended it, or showed life, in this very moment
        return False
    return True
