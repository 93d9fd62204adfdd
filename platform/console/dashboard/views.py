"""Dashboard: queue, runners, failures and costs. Users see the figures that their role and their sources allow."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from access.models import BusinessSource
from access.tenancy import visible_sources
from console.models import HourlyFigures
from console.tenants.hourly_figures import Unsummed, unsummed
from console.tenants.roles import VIEW_COSTS, VIEW_IMAGES
from jobs.models import Runner, State
from jobs.scheduling.replaced_processes import replaced_since

from . import alerts, live_figures
from .alerts import Alert
from .first_steps import next_steps
from .live_figures import Sources

HOURS = 24
MAX_SOURCES_IN_CHART = 8
COLORS = {
    State.SUCCEEDED: "#16a34a",
    State.FAILED: "#dc2626",
    State.CANCELLED: "#64748b",
    State.EXPIRED: "#d97706",
}
GRAY = "#6b7280"  # readable on white and on black


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Extend the context of the admin's index page (UNFOLD["DASHBOARD_CALLBACK"])."""
    return context | figures(request) | {"next_steps": next_steps(request)}


def live(request: HttpRequest) -> HttpResponse:
    """The figures alone, as an HTML fragment that the dashboard polls."""
    return render(request, "admin/dashboard/figures.html", figures(request))


def figures(request: HttpRequest) -> dict[str, Any]:
    """Template context of the figures that the user may see."""
    sources, now = visible_sources(request.user), timezone.now()
    may = request.user.has_perm
    shown: dict[str, Any] = {"as_of": now, "sees_jobs": may("jobs.view_job")}
    if shown["sees_jobs"] or may(VIEW_COSTS):
        newest = unsummed(sources, now)
    if shown["sees_jobs"]:
        shown |= _job_figures(sources, now, newest)
    if may("jobs.view_callback"):
        shown["undelivered"] = live_figures.undelivered_callbacks(sources, now)
    if may("jobs.view_runner") and sources is None:
        runners = list(Runner.objects.order_by("name").defer("token", "server_secret", "nodes", "file_lists"))
        shown["runners"] = list(live_figures.runner_loads(runners))
        shown["replacements"] = replaced_since(now - live_figures.DAY)
        shown["alerts"] = _alerts(shown, runners, now)
    if may(VIEW_COSTS):
        shown |= _cost_figures(sources, now, newest)
    if request.user.has_perms(VIEW_IMAGES):
        shown["last_images"] = live_figures.last_images(sources)
    return shown


def _alerts(shown: dict[str, Any], runners: Iterable[Runner], now: datetime) -> list[Alert]:
    """What needs an operator, the urgent ones first."""
    found = [*alerts.of_runners(runners, shown.get("queued", 0), now), *alerts.of_disk()]
    if "undelivered" in shown:
        found += alerts.of_callbacks(shown["undelivered"])
    found += [*alerts.of_failures(now), *alerts.of_leases(now)]
    return sorted(found, key=lambda alert: not alert.is_urgent)


def _job_figures(sources: Sources, now: datetime, newest: Unsummed) -> dict[str, Any]:
    hourly = _hourly(sources).filter(hour__gt=now - timedelta(hours=HOURS), hour__lt=newest.since)
    lanes = live_figures.queue(sources, now)
    return {
        "lanes": lanes,
        "queued": sum(lane.jobs for lane in lanes),
        "running": live_figures.running(sources),
        "throughput": live_figures.throughput(sources, now),
        "failures": list(_failures(hourly, newest, now)),
        "outcomes": json.dumps(_outcomes(hourly, newest, now)),
        "outcomes_options": json.dumps(_options(stacked=True)),
    }


def _hourly(sources: Sources) -> Any:
    rows = HourlyFigures.objects.order_by()
    return rows if sources is None else rows.filter(source__in=sources)


def _failures(hourly: Any, newest: Unsummed, now: datetime) -> Iterable[dict[str, Any]]:
    """Failed jobs by error code, most frequent first, with a link to the list of those jobs."""
    failed = hourly.filter(state=State.FAILED).values_list("error_code").annotate(Sum("jobs"))
    totals = Counter(dict(failed))
    for row in newest.rows:
        if row["state"] == State.FAILED:
            totals[row["error_code"]] += row["jobs"]
    page = reverse("admin:jobs_job_changelist")
    since = (now - timedelta(hours=HOURS)).isoformat(timespec="seconds")
    for code, jobs in sorted(totals.items(), key=lambda item: (-item[1], item[0])):
        query = {"state__exact": State.FAILED.value, "error_code": code, "created_at__gte": since}
        yield {"code": code, "jobs": jobs, "url": f"{page}?{urlencode(query)}"}


def _outcomes(hourly: Any, newest: Unsummed, now: datetime) -> dict[str, Any]:
    """Chart.js data: jobs that ended in each of the last 24 hours, by state."""
    last = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    hours = [last - timedelta(hours=back) for back in reversed(range(HOURS))]
    counts: Counter[tuple[str, datetime]] = Counter()
    for row in [*hourly.values("state", "hour").annotate(jobs=Sum("jobs")), *newest.rows]:
        counts[row["state"], row["hour"]] += row["jobs"]
    return {
        "labels": [f"{localtime(hour):%H:%M}" for hour in hours],
        "datasets": [
            {
                "label": str(state.label),
                "data": [counts[state, hour] for hour in hours],
                "backgroundColor": color,
            }
            for state, color in COLORS.items()
        ],
    }


def _cost_figures(sources: Sources, now: datetime, newest: Unsummed) -> dict[str, Any]:
    today = localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    costs = _costs(_hourly(sources).filter(hour__lt=newest.since), newest, today)
    return {
        "costs": costs,
        "costs_chart": json.dumps(_costs_chart(costs[:MAX_SOURCES_IN_CHART])),
        "costs_options": json.dumps(_options(stacked=False, horizontal=True)),
    }


def _costs(hourly: Any, newest: Unsummed, today: datetime) -> list[dict[str, Any]]:
    """Cost of each source today and this month, highest cost of the month first."""
    month = today.replace(day=1)
    of_month = hourly.filter(hour__gte=month).values_list("source").annotate(Sum("cost"))
    of_today = hourly.filter(hour__gte=today).values_list("source").annotate(Sum("cost"))
    sums: dict[int, list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for source_id, cost in of_month:
        sums[source_id][1] = cost
    for source_id, cost in of_today:
        sums[source_id][0] = cost
    for row in newest.rows:
        since_both = [row["hour"] >= today, row["hour"] >= month]
        for index in (index for index, counts in enumerate(since_both) if counts):
            sums[row["source_id"]][index] += row["cost"]
    named = BusinessSource.objects.in_bulk(sums)
    rows = [{"source": named[pk], "today": day, "month": month} for pk, (day, month) in sums.items()]
    return sorted(rows, key=lambda row: (-row["month"], row["source"].name))


def _costs_chart(costs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "labels": [str(row["source"]) for row in costs],
        "datasets": [
            {
                "label": _("today"),
                "data": [float(row["today"]) for row in costs],
                "backgroundColor": "#a855f7",
            },
            {
                "label": _("this month"),
                "data": [float(row["month"]) for row in costs],
                "backgroundColor": GRAY,
            },
        ],
    }


def _options(*, stacked: bool, horizontal: bool = False) -> dict[str, Any]:
    axis = {
        "stacked": stacked,
        "ticks": {"color": GRAY, "precision": 0},
        "grid": {"display": False},
        "beginAtZero": True,
    }
    legend = {"labels": {"color": GRAY, "boxWidth": 10, "boxHeight": 10}}
    return {
        "animation": False,
        "responsive": True,
        "maintainAspectRatio": False,
        "indexAxis": "y" if horizontal else "x",
        "scales": {"x": axis, "y": axis},
        "plugins": {"legend": legend},
    }
