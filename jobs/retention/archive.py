"""Moving old jobs into the archive, and out of it only when their time is over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction

from jobs.models import Job

from .models import ArchivedJob

COLUMNS: tuple[str, ...] = (
    "source_id",
    "dialect",
    "external_id",
    "state",
    "error_code",
    "cost",
    "device_seconds",
)
TIMES = ("created_at", "finished_at")
RECORDED: tuple[str, ...] = (
    "operation",
    "lane",
    "backend",
    "received",
    "request",
    "attempt",
    "runner_deaths",
)
RECORDED += ("error_message", "images_done", "interrupted", "engine_seconds")


@transaction.atomic
def archive(jobs: Sequence[Job]) -> int:
    """One row there for each row here, at once: whenever this is stopped, every job is in one place."""
    ArchivedJob.objects.bulk_create([_archived(job) for job in jobs])
    Job.objects.filter(pk__in=[job.pk for job in jobs]).delete()
    return len(jobs)


def _archived(job: Job) -> ArchivedJob:
    columns = {name: getattr(job, name) for name in (*COLUMNS, *TIMES)}
    return ArchivedJob(id=job.pk, record=_record(job), **columns)


def _record(job: Job) -> dict[str, Any]:
    timeline = job.transitions.order_by("id").values_list("at", "from_state", "to_state", "note")
    return {name: getattr(job, name) for name in RECORDED} | {
        "key": job.key.key_id if job.key else None,
        "checkpoint": job.checkpoint.name,
        "runner": job.runner.name if job.runner else None,
        "started_at": job.started_at.isoformat() if job.started_at else None,
        "timeline": [[at.isoformat(), *rest] for at, *rest in timeline],
    }
