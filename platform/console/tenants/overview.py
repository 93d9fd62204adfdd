"""First tab of a source's page: its last 30 days as charts, and what is still missing.

The charts are made from the hourly sums, so that they cost the same for a source with a million jobs; only the jobs of
the newest hour, which may not be summed up yet, are counted.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Q, Sum
from django.db.models.functions import TruncDate
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.timezone import localdate
from django.utils.translation import gettext as _

from access.models import AccessKey, BusinessSource
from console.dashboard.hourly_figures import unsummed
from console.models import HourlyFigures
from console.tenants.roles import VIEW_COSTS
from jobs.models import State

from .usage_charts import OPTIONS, PRIMARY, RED

DAYS = 30
AMBER = "#d97706"


@dataclass
class Day:
    """Jobs that ended on one day. ``wait_s`` and ``run_s`` are means of the succeeded ones."""

    day: date
    jobs: int = 0
    failed: int = 0
    cost: Decimal = Decimal(0)
    succeeded: int = 0
    wait_sum: float = 0.0
    run_sum: float = 0.0

    @property
    def wait_s(self) -> float:
        return self.wait_sum / self.succeeded if self.succeeded else 0.0

    @property
    def run_s(self) -> float:
        return self.run_sum / self.succeeded if self.succeeded else 0.0


def days_of(source: BusinessSource) -> list[Day]:
    """Each of the last 30 days, oldest first, today last; days without jobs are included."""
    now = timezone.now()
    today = localdate(now)
    found: dict[date, Day] = defaultdict(lambda: Day(today))
    newest = unsummed(BusinessSource.objects.filter(pk=source.pk), now)
    for row in [*_sums(source, today - timedelta(days=DAYS - 1), newest.since), *map(_of_hour, newest.rows)]:
        day = found[row["day"]]
        day.jobs += row["jobs_sum"]
        day.cost += row["cost_sum"]
        if row["state"] in (State.FAILED, State.EXPIRED):
            day.failed += row["jobs_sum"]
        # Hours that were summed up by an older version have no times.
        if row["state"] == State.SUCCEEDED and row["timed"]:
            day.succeeded += row["timed"]
            day.wait_sum += row["wait"]
            day.run_sum += row["run"]
    for back in range(DAYS):
        found[today - timedelta(days=back)].day = today - timedelta(days=back)
    return sorted(found.values(), key=lambda day: day.day)


def _of_hour(row: dict[str, Any]) -> dict[str, Any]:
    """A sum of the newest hour in the form of ``_sums``."""
    is_timed = row["wait_seconds"] is not None
    return {
        "day": localdate(row["hour"]),
        "state": row["state"],
        "jobs_sum": row["jobs"],
        "cost_sum": row["cost"],
        "timed": row["jobs"] if is_timed else 0,
        "wait": row["wait_seconds"],
        "run": row["run_seconds"],
    }


def _sums(source: BusinessSource, first: date, until: datetime) -> Any:
    since = timezone.make_aware(datetime.combine(first, time.min))
    rows = HourlyFigures.objects.filter(source=source, hour__gte=since, hour__lt=until).order_by()
    return (
        rows.annotate(day=TruncDate("hour"))
        .values("day", "state")
        .annotate(
            jobs_sum=Sum("jobs"),
            cost_sum=Sum("cost"),
            timed=Sum("jobs", filter=Q(wait_seconds__isnull=False)),
            wait=Sum("wait_seconds"),
            run=Sum("run_seconds"),
        )
    )


def overview(request: HttpRequest, source: BusinessSource) -> dict[str, Any]:
    """Template context of the overview, with the figures that the user may see."""
    days = days_of(source)
    context: dict[str, Any] = {
        "charts": _charts(days, sees_costs=request.user.has_perm(VIEW_COSTS)),
        "is_idle": not any(day.jobs for day in days),
    }
    if request.user.has_perm("access.add_accesskey") and not AccessKey.objects.filter(source=source).exists():
        context["new_key_url"] = reverse("admin:access_businesssource_new_key", args=[source.pk])
    return context


def _charts(days: list[Day], *, sees_costs: bool) -> list[dict[str, Any]]:
    jobs, failed = (sum(getattr(day, name) for day in days) for name in ("jobs", "failed"))
    cost = sum((day.cost for day in days), Decimal(0))
    costs = _chart(_("Cost units"), f"{cost:,.2f}", days, [(_("cost"), "cost", PRIMARY)])
    latency = [(_("wait"), "wait_s", AMBER), (_("execution"), "run_s", PRIMARY)]
    return [
        _chart(_("Jobs"), f"{jobs:,}", days, [(_("ended"), "jobs", PRIMARY)]),
        *([costs] if sees_costs else []),
        _chart(_("Failures"), _share(failed, jobs), days, [(_("failed or expired"), "failed", RED)]),
        _chart(_("Mean latency in seconds"), _mean(days), days, latency, stacked=True),
    ]


def _share(part: int, whole: int) -> str:
    return f"{part:,} ({100 * part / whole:.1f}%)" if whole else "0"


def _mean(days: list[Day]) -> str:
    succeeded = sum(day.succeeded for day in days)
    return f"{sum(day.wait_sum + day.run_sum for day in days) / succeeded:.1f}" if succeeded else "–"


def _chart(
    title: str, total: str, days: list[Day], series: list[tuple[str, str, str]], *, stacked: bool = False
) -> dict[str, Any]:
    datasets = [
        {
            "label": label,
            "data": [round(float(getattr(day, name)), 3) for day in days],
            "backgroundColor": color,
            "borderRadius": 2,
        }
        for label, name, color in series
    ]
    options = json.loads(OPTIONS) | {"animation": False}
    if stacked:
        options["plugins"]["legend"] = {"display": True, "labels": {"color": "#6b7280", "boxWidth": 10}}
        for axis in options["scales"].values():
            axis["stacked"] = True
    data = {"labels": [f"{day.day:%m-%d}" for day in days], "datasets": datasets}
    return {"title": title, "total": total, "data": json.dumps(data), "options": json.dumps(options)}
