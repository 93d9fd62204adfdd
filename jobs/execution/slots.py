"""The places that a source has in the queue and on the runners, counted under its lock."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import Count, OuterRef, QuerySet, Subquery

from access.models import AccessKey, BusinessSource
from jobs.models import Job, State
from statements import Ask, Statement, given


def room_to_run(job_id: uuid.UUID) -> tuple[Ask[list[int]], Ask[Any]]:
    """What to ask for ``has_room_to_run``, together.

    Until the transaction ends nobody else claims for the job's source, so that a limit holds for two at once.
    """
    return _LOCKED.ask(job=job_id), _RUNNING.ask(job=job_id)


def has_room_to_run(limits: list[int], running: list[dict[str, int]]) -> bool:
    return counted(running) < limits[0]


def full_keys() -> set[int]:
    """Those that run as many jobs as they may."""
    limits = _KEY_LIMITS.all()
    return {
        key_id
        for source_id, key_id, limit in limits
        if taken_by_key(source_id, key_id, State.RUNNING) >= limit
    }


def taken(source_id: int, state: State) -> int:
    return counted(_TAKEN.all(source=source_id, state=state))


def ask_taken(source_id: int, state: State) -> Ask[list[dict[str, int]]]:
    """As ``taken``, asked together with other things: ``counted`` says how many it is."""
    return _TAKEN.ask(source=source_id, state=state)


def taken_by_key(source_id: int, key_id: int, state: State) -> int:
    return counted(_TAKEN_BY_KEY.all(source=source_id, key=key_id, state=state))


def counted(rows: list[dict[str, int]]) -> int:
    return sum(row["jobs"] for row in rows)


KEY_LIMIT = (
    AccessKey.objects.filter(pk=OuterRef("key_id")).order_by().values("max_concurrent_jobs")
)  # of a job
_KEY_LIMITS: Statement[Any] = Statement(
    lambda: (
        AccessKey.objects.filter(max_concurrent_jobs__isnull=False)
        .values_list("source_id", "pk", "max_concurrent_jobs")
        .order_by()
    )
)
_LOCKED = Statement(
    lambda: (
        BusinessSource.objects.select_for_update(no_key=True)
        .filter(pk=_source_of_a_job())
        .values_list("max_concurrent_jobs", flat=True)
        .order_by()
    )
)
_RUNNING = Statement(
    lambda: (
        Job.objects.filter(source=_source_of_a_job(), state=State.RUNNING)
        .order_by()
        .values("source")
        .annotate(jobs=Count("pk"))
    )
)


def _source_of_a_job() -> Subquery:
    return Subquery(Job.objects.filter(pk=given("job")).order_by().values("source"))


_TAKEN = Statement(lambda: _counted(Job.objects.all()))
_TAKEN_BY_KEY = Statement(lambda: _counted(Job.objects.filter(key=given("key"))))


def _counted(jobs: QuerySet[Job]) -> Any:
    found = jobs.filter(source=given("source"), state=given("state"))
    return found.order_by().values("source").annotate(jobs=Count("pk"))
