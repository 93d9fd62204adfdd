"""Daily usage of a source."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import TruncDate
from rest_framework.request import Request

from access.models import BusinessSource
from dialects.native.request.pagination import UsagePagination, UsageQuery
from jobs.models import TERMINAL, Job, State

from .schemas import UsageDay

ENDS = ("succeeded", "failed", "cancelled", "expired")


def usage_page(
    source: BusinessSource, query: UsageQuery, request: Request
) -> tuple[list[UsageDay], str | None]:
    """One page of days in UTC, newest first, and the cursor of the next page. Days without ended jobs are left out.

    Raises Problem for an invalid cursor.
    """
    days, cursor = UsagePagination(query.limit).page_of(_by_day(_ended_jobs(source, query)), request)
    return [UsageDay.model_validate(_fields(day)) for day in days], cursor


def _ended_jobs(source: BusinessSource, query: UsageQuery) -> QuerySet[Job]:
    jobs = Job.objects.filter(source=source, state__in=TERMINAL, finished_at__isnull=False)
    if query.since:
        jobs = jobs.filter(finished_at__gte=_midnight(query.since))
    if query.until and query.until < date.max:
        jobs = jobs.filter(finished_at__lt=_midnight(query.until + timedelta(days=1)))
    return jobs


def _by_day(jobs: QuerySet[Job]) -> Any:
    return (
        jobs.order_by()
        .annotate(day=TruncDate("finished_at", tzinfo=UTC))
        .values("day")
        .annotate(
            jobs=Count("pk"),
            **{state: Count("pk", filter=Q(state=State(state))) for state in ENDS},
            total_images=Sum("images_done", filter=Q(state=State.SUCCEEDED)),
            total_cost=Sum("cost"),
            total_device_seconds=Sum("device_seconds"),
        )
    )


def _fields(day: dict[str, Any]) -> dict[str, Any]:
    totals = {"cost": float(day["total_cost"]), "device_seconds": day["total_device_seconds"]}
    return day | totals | {"pictures": day["total_images"] or 0}


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)
