"""The places that a source has in the queue and on the runners, counted under its lock."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, QuerySet

from access.models import BusinessSource
from statements import Statement, given

from .models import Job, State


def locked_running_limit(source_id: int) -> int:
    """Until the transaction ends nobody else claims for this source, so that a limit holds for two at once."""
    limit = _LOCKED.first(source=source_id)
    if limit is None:
        raise BusinessSource.DoesNotExist
    return limit


def taken(source_id: int, state: State) -> int:
    return _jobs(_TAKEN.first(source=source_id, state=state))


def taken_by_key(source_id: int, key_id: int, state: State) -> int:
    return _jobs(_TAKEN_BY_KEY.first(source=source_id, key=key_id, state=state))


def _jobs(counted: dict[str, int] | None) -> int:
    return counted["jobs"] if counted else 0


_LOCKED = Statement(
    lambda: (
        BusinessSource.objects.select_for_update(no_key=True)
        .filter(pk=given("source"))
        .values_list("max_concurrent_jobs", flat=True)
        .order_by()
    )
)
_TAKEN = Statement(lambda: _counted(Job.objects.all()))
_TAKEN_BY_KEY = Statement(lambda: _counted(Job.objects.filter(key=given("key"))))


def _counted(jobs: QuerySet[Job]) -> Any:
    found = jobs.filter(source=given("source"), state=given("state"))
    return found.order_by().values("source").annotate(jobs=Count("pk"))
