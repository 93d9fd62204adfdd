"""Sums by the hour, so that the dashboard need not count jobs.

A day may have a million jobs; their sums are some hundred rows. A background task adds them up once a minute from the
index of ends: only the hours since the newest one that is known, each written again whole, so that a task which comes
late, twice, or after a day's pause gives the same sums. What the dashboard says of hours and days is a minute old at
most; what it says of now it counts itself (``console.dashboard.live_figures``).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count, Max, Sum
from django.db.models.functions import TruncHour
from django.utils import timezone

from console.models import HourlyFigures
from jobs.models import Job

HOUR = timedelta(hours=1)
REACH = timedelta(days=32)  # how far back the first sums go: a month
KEPT = timedelta(days=62)
AT_ONCE = timedelta(days=1)
KEY = ["hour", "source", "state", "error_code"]
SUMS = ["jobs", "cost", "device_seconds"]


def bring_up_to_date() -> int:
    """How many rows were written."""
    now = timezone.now()
    written = sum(_write(since, until) for since, until in _spans(_begin(now), now))
    HourlyFigures.objects.filter(hour__lt=now - KEPT).delete()
    return written


def _begin(now: datetime) -> datetime:
    """The hour before the newest known one: a transaction may have been committed a moment after its job's end."""
    newest = HourlyFigures.objects.aggregate(newest=Max("hour"))["newest"]
    return _whole(newest - HOUR if newest else now - REACH)


def _whole(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _spans(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    while since <= until:
        yield since, since + AT_ONCE
        since += AT_ONCE


def _write(since: datetime, until: datetime) -> int:
    rows = [HourlyFigures(**row) for row in _sums(since, until)]
    HourlyFigures.objects.bulk_create(rows, update_conflicts=True, unique_fields=KEY, update_fields=SUMS)
    return len(rows)


def _sums(since: datetime, until: datetime) -> Iterator[dict[str, Any]]:
    ended = Job.objects.filter(finished_at__gte=since, finished_at__lt=until).order_by()
    grouped = ended.annotate(hour=TruncHour("finished_at", tzinfo=UTC)).values(
        "hour", "source_id", "state", "error_code"
    )
    for row in grouped.annotate(jobs=Count("pk"), total=Sum("cost"), seconds=Sum("device_seconds")):
        key = {name: row[name] for name in ("hour", "source_id", "state", "error_code", "jobs")}
        yield {**key, "cost": row["total"], "device_seconds": row["seconds"]}
