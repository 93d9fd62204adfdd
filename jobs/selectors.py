"""Reading jobs. The source comes first: no caller sees another's job."""

from __future__ import annotations

import re
import uuid

from django.db import connection
from django.db.models import BooleanField, Q, QuerySet
from django.db.models.expressions import RawSQL

from access.models import AccessKey, BusinessSource

from .models import ACTIVE, Backend, Job, Output, Runner, State


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


WITH_ERRORS = (State.FAILED, State.EXPIRED)
BEGINNING_OF_ID = re.compile(r"[0-9a-f]{6,32}")
HIGHEST = "\U0010ffff"
MAX_RESULTS = (
    200  # jobs whose callers' ids begin alike; of more, some are left out until more of the id is given
)


def search(jobs: QuerySet[Job], words: str) -> QuerySet[Job]:
    words = words.strip()
    digits = words.lower().replace("-", "")
    if BEGINNING_OF_ID.fullmatch(digits):
        first, last = uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))
        by_id = jobs.filter(pk__gte=first, pk__lte=last)
        if by_id.exists():
            return by_id
    with_code = with_error_code(jobs, words)
    return with_code if with_code.exists() else with_callers_id(jobs, words)


def with_error_code(jobs: QuerySet[Job], code: str) -> QuerySet[Job]:
    return jobs.filter(_stated("error_code"), error_code=code)


def with_callers_id(jobs: QuerySet[Job], beginning: str) -> QuerySet[Job]:
    named = jobs.filter(_stated("external_id")).order_by().values_list("pk", flat=True)
    alike = named.filter(external_id__startswith=beginning)
    if connection.vendor == "sqlite":  # its LIKE does not use the index; a range does
        alike = alike.filter(external_id__gte=beginning, external_id__lt=beginning + HIGHEST)
    # Found first, and sorted then: in one query the database might look for them from the newest job on. It does that
    # for a thousand found ones as well, and of a million jobs that takes most of a second.
    found = {*named.filter(external_id=beginning)[:MAX_RESULTS], *alike[:MAX_RESULTS]}
    return jobs.filter(pk__in=found)


def _stated(column: str) -> Q:
    """That it is not empty, as the condition of its index has it: what is a parameter SQLite cannot compare with that."""
    return Q(RawSQL(f"NOT (jobs_job.{column} = '')", (), output_field=BooleanField()))
