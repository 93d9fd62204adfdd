"""The places that a source has in the queue and on the runners, counted under its lock."""

from __future__ import annotations

from typing import NamedTuple

from django.db.models import Count

from access.models import BusinessSource
from statements import Statement, given

from .models import Job, State


class Limits(NamedTuple):
    queued: int
    running: int


def locked_limits(source_id: int) -> Limits:
    """Until the transaction ends nobody else admits or claims for this source, so that a limit holds for two at once."""
    limits = _LOCKED.first(source=source_id)
    if limits is None:
        raise BusinessSource.DoesNotExist
    return Limits(*limits)


def taken(source_id: int, state: State) -> int:
    counted = _TAKEN.first(source=source_id, state=state)
    return counted["jobs"] if counted else 0


_LOCKED = Statement(
    lambda: (
        BusinessSource.objects.select_for_update(no_key=True)
        .filter(pk=given("source"))
        .values_list("max_queued_jobs", "max_concurrent_jobs")
        .order_by()
    )
)
_TAKEN = Statement(
    lambda: (
        Job.objects.filter(source=given("source"), state=given("state"))
        .order_by()
        .values("source")
        .annotate(jobs=Count("pk"))
    )
)
