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
        parsed = job_id if isinstance(job_id, uuid.UUID) else uuid.UUID(job_id)
    except ValueError:
        raise Job.DoesNotExist from None
    return Job.objects.get(source=source, pk=parsed)


def revised_prompt(job: Job) -> str | None:
    """The prompt that is drawn, if the text model changed the one that the client wrote."""
    return job.request["prompt"] if "prompt" in job.rewriting.get("written", {}) else None


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
MAX_RESULTS = 200  # limit of a search by prefix of the external id; further matches are omitted


def search(jobs: QuerySet[Job], term: str) -> QuerySet[Job]:
    """Search by prefix of the job ID (at least 6 hex digits), else by error code, else by external id."""
    term = term.strip()
    digits = term.lower().replace("-", "")
    if BEGINNING_OF_ID.fullmatch(digits):
        first, last = uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))
        by_id = jobs.filter(pk__gte=first, pk__lte=last)
        if by_id.exists():
            return by_id
    with_code = with_error_code(jobs, term)
    return with_code if with_code.exists() else with_external_id(jobs, term)


def with_error_code(jobs: QuerySet[Job], code: str) -> QuerySet[Job]:
    return jobs.filter(_is_not_empty("error_code"), error_code=code)


def with_end_user(jobs: QuerySet[Job], end_user: str) -> QuerySet[Job]:
    return jobs.filter(_is_not_empty("end_user"), end_user=end_user)


def with_external_id(jobs: QuerySet[Job], prefix: str) -> QuerySet[Job]:
    """Jobs whose external id begins with a prefix; exact matches are always included."""
    with_id = jobs.filter(_is_not_empty("external_id")).order_by().values_list("pk", flat=True)
    alike = with_id.filter(external_id__startswith=prefix)
    if connection.vendor == "sqlite":  # LIKE does not use the index in SQLite; a range does
        alike = alike.filter(external_id__gte=prefix, external_id__lt=prefix + HIGHEST)
    # Fetch the IDs first: in a single query with ORDER BY, the database may scan all jobs from the newest on,
    # which takes most of a second for a million jobs. It does so with a thousand IDs too, hence MAX_RESULTS.
    found = {*with_id.filter(external_id=prefix)[:MAX_RESULTS], *alike[:MAX_RESULTS]}
    return jobs.filter(pk__in=found)


def _is_not_empty(column: str) -> Q:
    """Condition that the column is not empty, written exactly as in its partial index.

    With a bound parameter, SQLite would not use the index.
    """
    return Q(RawSQL(f"NOT (jobs_job.{column} = '')", (), output_field=BooleanField()))


def with_prompt_words(jobs: QuerySet[Job], words: str) -> QuerySet[Job]:
    """Jobs whose prompt contains each of the words. There is no index for this: limit the number of jobs first."""
    for word in words.split():
        jobs = jobs.filter(request__prompt__icontains=word)
    return jobs
