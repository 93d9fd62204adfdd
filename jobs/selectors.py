"""Reading jobs. The source comes first: no caller sees another's job."""

from __future__ import annotations

import uuid

from django.db.models import QuerySet

from access.models import AccessKey, BusinessSource

from .models import ACTIVE, Backend, Job, Output, Runner


def job_get(source: BusinessSource, job_id: str | uuid.UUID) -> Job:
    """Raises Job.DoesNotExist for a stranger's job just as for one that never was."""
    try:
        wanted = job_id if isinstance(job_id, uuid.UUID) else uuid.UUID(job_id)
    except ValueError:
        raise Job.DoesNotExist from None
    return Job.objects.get(source=source, pk=wanted)


def outputs_of(job: Job) -> list[Output]:
    """The outputs of every kind, by index."""
    return list(job.outputs.order_by("index"))


def running_and_queued(key: AccessKey) -> QuerySet[Job]:
    """The key's jobs that have not ended, oldest first."""
    return Job.objects.filter(key=key, state__in=ACTIVE).order_by("created_at")


def is_offered(backend: Backend) -> bool:
    """Whether any runner draws with it, be it busy or not seen just now."""
    return Runner.objects.filter(enabled=True, backend=backend).exists()
