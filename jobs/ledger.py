"""What a job holds and costs, and what its source was served. Called only inside the transaction that moves the job."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from access.models import Posting

from .models import Job, Usage


def reserve(job: Job) -> None:
    _post(job, Posting.Kind.RESERVE, job.cost_estimate)


def release(job: Job) -> None:
    _post(job, Posting.Kind.RELEASE, -job.cost_estimate)


def settle(job: Job, cost: Decimal) -> None:
    _post(job, Posting.Kind.SETTLE, cost)


def charge(source_id: int, device_seconds: float, work: float, now: datetime) -> None:
    """Adds to the source's decayed usage, which the policy reads."""
    Usage.objects.get_or_create(source_id=source_id)
    usage = Usage.objects.select_for_update().get(source_id=source_id)
    usage.add(device_seconds, work, now)
    usage.save(update_fields=["served", "work", "as_of"])


def _post(job: Job, kind: Posting.Kind, amount: Decimal) -> None:
    Posting.objects.create(source_id=job.source_id, job_id=job.pk, kind=kind, amount=amount)
