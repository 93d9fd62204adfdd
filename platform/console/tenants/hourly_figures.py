"""Hourly sums of ended jobs, so that the dashboard does not have to count jobs.

A day may have a million jobs, but only a few hundred rows of sums. A background task updates them once a minute,
using the index on ``finished_at``. It recomputes each hour since the newest known one completely, so the result is
the same if the task runs late, twice, or after a long pause. What ended since is counted directly, at most for two
hours (``unsummed``); current figures always are (``console.dashboard.live_figures``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count, F, Max, QuerySet, Sum
from django.db.models.functions import TruncHour
from django.utils import timezone

from access.models import BusinessSource
from console.models import HourlyFigures
from jobs.models import Job

HOUR = timedelta(hours=1)
INITIAL_PERIOD = timedelta(days=32)  # a calendar month; how far back the first run goes
RETENTION = timedelta(days=62)
QUERY_SPAN = timedelta(days=1)  # period that one query sums up
UNIQUE_FIELDS = ["hour", "source", "state", "error_code"]
SUM_FIELDS = ["jobs", "cost", "device_seconds", "wait_seconds", "run_seconds"]


def update_hourly_figures() -> int:
    """Recompute the figures since the newest known hour, delete old ones, and return the number of rows written."""
    now = timezone.now()
    written = sum(_write(since, until) for since, until in _spans(_begin(now), now))
    HourlyFigures.objects.filter(hour__lt=now - RETENTION).delete()
    return written


@dataclass(frozen=True)
class Unsummed:
    """Sums of the jobs that ended ``since`` an hour whose row may be incomplete. ``rows`` are like HourlyFigures."""

    since: datetime
    rows: list[dict[str, Any]]


def unsummed(sources: QuerySet[BusinessSource] | None, now: datetime) -> Unsummed:
    """Figures that the background task may not have summed up yet. ``sources``: None for all of them."""
    this_hour = _truncate_to_hour(now)
    is_known = HourlyFigures.objects.filter(hour__gte=this_hour).exists()
    since = this_hour if is_known else this_hour - HOUR  # the hour has just begun, or this installation has
    ended = Job.objects.all() if sources is None else Job.objects.filter(source__in=sources)
    return Unsummed(since, list(_sums(since, now, ended)))


def _begin(now: datetime) -> datetime:
    # One hour before the newest one: a job may have been committed shortly after its finished_at.
    newest = HourlyFigures.objects.aggregate(newest=Max("hour"))["newest"]
    return _truncate_to_hour(newest - HOUR if newest else now - INITIAL_PERIOD)


def _truncate_to_hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _spans(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    while since <= until:
        yield since, since + QUERY_SPAN
        since += QUERY_SPAN


def _write(since: datetime, until: datetime) -> int:
    rows = [HourlyFigures(**row) for row in _sums(since, until)]
    HourlyFigures.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=UNIQUE_FIELDS, update_fields=SUM_FIELDS
    )
    return len(rows)


def _sums(since: datetime, until: datetime, jobs: QuerySet[Job] | None = None) -> Iterator[dict[str, Any]]:
    jobs = Job.objects.all() if jobs is None else jobs
    ended = jobs.filter(finished_at__gte=since, finished_at__lt=until).order_by()
    grouped = ended.annotate(hour=TruncHour("finished_at", tzinfo=UTC)).values(
        "hour", "source_id", "state", "error_code"
    )
    sums = grouped.annotate(
        jobs=Count("pk"),
        total=Sum("cost"),
        seconds=Sum("device_seconds"),
        waited=Sum(F("started_at") - F("created_at")),
        ran=Sum(F("finished_at") - F("started_at")),
    )
    for row in sums:
        key = {name: row[name] for name in ("hour", "source_id", "state", "error_code", "jobs")}
        times = {"wait_seconds": _seconds(row["waited"]), "run_seconds": _seconds(row["ran"])}
        yield {**key, **times, "cost": row["total"], "device_seconds": row["seconds"]}


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else span.total_seconds()
