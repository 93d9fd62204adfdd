"""The places that a source has in the queue and on the runners, counted under its lock."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, OuterRef, QuerySet

from access.models import AccessKey, BusinessSource
from statements import Statement, given

from .models import Job, State


def has_room_to_run(source_id: int, key_id: int | None, key_limit: int | None) -> bool:
    """Until the transaction ends nobody else claims for this source, so that a limit holds for two at once."""
    limit = _LOCKED.first(source=source_id)
    if limit is None:
        raise BusinessSource.DoesNotExist
    if taken(source_id, State.RUNNING) >= limit:
        return False
    if key_id is None or key_limit is None:
        return True
    return taken_by_key(source_id, key_id, State.RUNNING) < key_limit


def full_keys() -> set[int]:
    """Those that run as many jobs as they may."""
    limits = _KEY_LIMITS.all()
    return {
        key_id
        for source_id, key_id, limit in limits
        if taken_by_key(source_id, key_id, State.RUNNING) >= limit
    }


def taken(source_id: int, state: State) -> int:
    return _jobs(_TAKEN.first(source=source_id, state=state))


def taken_by_key(source_id: int, key_id: int, state: State) -> int:
    return _jobs(_TAKEN_BY_KEY.first(source=source_id, key=key_id, state=state))


def _jobs(counted: dict[str, int] | None) -> int:
    return counted["jobs"] if counted else 0


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
