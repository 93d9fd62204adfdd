"""What a source had drawn on each of the last days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from django.db.models import Count, Q, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from access.models import BusinessSource
from jobs.models import Job, State


@dataclass(frozen=True)
class DayOfUse:
    day: date
    jobs: int = 0
    failed: int = 0
    images: int = 0
    cost: Decimal = Decimal(0)


def by_day(source: BusinessSource, days: int = 30) -> list[DayOfUse]:
    """Oldest first, today last, none left out; a job counts for the day on which it came, in TIME_ZONE."""
    today = timezone.localdate()
    first = today - timedelta(days=days - 1)
    since = timezone.make_aware(datetime.combine(first, time.min))
    rows = (
        Job.objects.filter(source=source, created_at__gte=since)
        .annotate(day=TruncDate("created_at"))
        .order_by("day")
        .values_list("day")
        .annotate(
            jobs=Count("pk"),
            failed=Count("pk", filter=Q(state=State.FAILED)),
            images=Sum("images_done", filter=Q(state=State.SUCCEEDED), default=0),
            total_cost=Sum("cost"),
        )
    )
    known = {row[0]: DayOfUse(*row) for row in rows}
    return [
        known.get(day) or DayOfUse(day) for day in (first + timedelta(days=number) for number in range(days))
    ]
