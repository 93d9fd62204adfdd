"""Queries for jobs. Lookups by ID are limited to the jobs of one source (tenant isolation)."""

from __future__ import annotations

import re
import uuid

from django.db import connection
from django.db.models import BooleanField, Q, QuerySet
from django.db.models.expressions import RawSQL

from access.models import AccessKey, BusinessSource

from .models import ACTIVE, Backend, Job, Output, Runner, State


def job_get(source: BusinessSource, job_id: str | uuid.UUID) -> Job:
    """Return a job of the source.

    Raises Job.DoesNotExist, also for jobs of other tenants, so that their existence is not revealed.
    """
    try:
        wanted = job_id if isinstance(job_id, uuid.UUID) else uuid.UUID(job_id)
    except ValueError:
        raise Job.DoesNotExist from None
    return Job.objects.get(source=source, pk=wanted)


def outputs_of(job: Job) -> list[Output]:
    """Outputs of all kinds, ordered by index."""
    return list(job.outputs.order_by("index"))


def running_and_queued(key: AccessKey) -> QuerySet[Job]:
    """Queued and running jobs of the key, oldest first."""
    return Job.objects.filter(key=key, state__in=ACTIVE).order_by("created_at")


def is_offered(backend: Backend) -> bool:
    """Whether there is an enabled runner with this backend, even if it is busy or unreachable."""
    return Runner.objects.filter(enabled=True, backend=backend).exists()


WITH_ERRORS = (State.FAILED, State.EXPIRED)
BEGINNING_OF_ID = re.compile(r"[0-9a-f]{6,32}")
HIGHEST = "\U0010ffff"
MAX_RESULTS = 200  # limit of a search by prefix of the caller's id; further matches are omitted


def search(jobs: QuerySet[Job], words: str) -> QuerySet[Job]:
    """Search by prefix of the job ID (at least 6 hex digits), else by error code, else by caller's id."""
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
    """Jobs whose caller's id begins with a prefix; exact matches are always included."""
    named = jobs.filter(_stated("external_id")).order_by().values_list("pk", flat=True)
    alike = named.filter(external_id__startswith=beginning)
    if connection.vendor == "sqlite":  # LIKE does not use the index in SQLite; a range does
        alike = alike.filter(external_id__gte=beginning, external_id__lt=beginning + HIGHEST)
    # Fetch the IDs first: in a single query with ORDER BY, the database may scan all jobs from the newest on,
    # which takes most of a second for a million jobs. It does so with a thousand IDs too, hence MAX_RESULTS.
    found = {*named.filter(external_id=beginning)[:MAX_RESULTS], *alike[:MAX_RESULTS]}
    return jobs.filter(pk__in=found)


def _stated(column: str) -> Q:
    """Condition that the column is not empty, written exactly as in its partial index.

    With a bound parameter, SQLite would not use the index.
    """
    return Q(RawSQL(f"NOT (jobs_job.{column} = '')", (), output_field=BooleanField()))
