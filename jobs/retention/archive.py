"""Archiving of old jobs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from django.db import transaction

from jobs.models import Job, Transition
from jobs.models.archive import ArchivedJob

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
    "end_user",
    "lane",
    "backend",
    "received",
    "request",
    "attempt",
    "runner_deaths",
)
RECORDED += ("rewriting", "error_message", "images_done", "interrupted", "engine_seconds")


@transaction.atomic
def archive(jobs: Sequence[Job]) -> int:
    """Move jobs to the archive in one transaction, with their timelines. Returns the number of jobs."""
    ids = [job.pk for job in jobs]
    timelines: dict[Any, list[list[str]]] = defaultdict(list)
    lines = Transition.objects.filter(job__in=ids).order_by("id")
    for job_id, at, *rest in lines.values_list("job_id", "at", "from_state", "to_state", "note"):
        timelines[job_id].append([at.isoformat(), *rest])
    ArchivedJob.objects.bulk_create([_archived(job, timelines[job.pk]) for job in jobs])
    Job.objects.filter(pk__in=ids).delete()
    return len(jobs)


def _archived(job: Job, timeline: list[list[str]]) -> ArchivedJob:
    columns = {name: getattr(job, name) for name in (*COLUMNS, *TIMES)}
    return ArchivedJob(id=job.pk, record=_record(job, timeline), **columns)


def _record(job: Job, timeline: list[list[str]]) -> dict[str, Any]:
    return {name: getattr(job, name) for name in RECORDED} | {
        "key": job.key.key_id if job.key else None,
        "checkpoint": job.checkpoint.name if job.checkpoint else None,
        "runner": job.runner.name if job.runner else None,
        "started_at": job.started_at.isoformat() if job.started_at else None,
        "timeline": timeline,
    }
