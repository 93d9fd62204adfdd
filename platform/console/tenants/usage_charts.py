"""Usage of a business source as charts: jobs, images and cost of the last 30 days."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import action

from console.admin_base.base import ConsoleAdmin, visible_object
from console.tenants.roles import VIEW_COSTS
from jobs.billing.daily_usage import DayOfUse, by_day

# From unfold's palette, which follows the theme.
PRIMARY, RED = "var(--color-primary-600)", "var(--color-red-600)"
Series = tuple[str | Promise, str, str]  # label, field of DayOfUse, color

COST: list[Series] = [(gettext_lazy("cost"), "cost", PRIMARY)]
CHARTS: list[tuple[str | Promise, list[Series]]] = [
    (
        gettext_lazy("jobs"),
        [(gettext_lazy("jobs"), "jobs", PRIMARY), (gettext_lazy("failed jobs"), "failed", RED)],
    ),
    (gettext_lazy("images"), [(gettext_lazy("images"), "images", PRIMARY)]),
    (gettext_lazy("cost"), COST),
]


class UsageMixin(ConsoleAdmin):
    """Button of a source's page that shows its usage."""

    def has_view_detail_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return self.has_view_permission(request)

    @action(
        description=gettext_lazy("Usage"), permissions=["view_detail"], url_path="usage", icon="bar_chart"
    )
    def usage(self, request: HttpRequest, object_id: str) -> TemplateResponse:
        source = visible_object(self, request, object_id)
        days = by_day(source)
        sees_costs = request.user.has_perm(VIEW_COSTS)
        charts = CHARTS if sees_costs else [chart for chart in CHARTS if chart[1] != COST]
        context = {
            **self.admin_site.each_context(request),
            "title": _("Usage of %(source)s") % {"source": source},
            "source": source,
            "charts": [_chart(title, series, days) for title, series in charts],
            "sees_costs": sees_costs,
            "days": [day for day in reversed(days) if day.jobs],
        }
        return TemplateResponse(request, "admin/access/usage.html", context)


def _chart(title: str | Promise, series: list[Series], days: list[DayOfUse]) -> dict[str, Any]:
    datasets = [
        {
            "label": str(label),
            "data": [float(getattr(day, name)) for day in days],
            "backgroundColor": color,
            "borderRadius": 2,
        }
        for label, name, color in series
    ]
    data = {"labels": [f"{day.day:%m-%d}" for day in days], "datasets": datasets}
    total = sum(getattr(day, series[0][1]) for day in days)
    return {"title": title, "total": total, "data": json.dumps(data), "options": OPTIONS}


OPTIONS = json.dumps(
    {
        "barPercentage": 0.8,
        "base": 0,
        "grouped": True,
        "maxBarThickness": 16,
        "responsive": True,
        "maintainAspectRatio": False,
        "plugins": {"legend": {"display": False}, "tooltip": {"enabled": True}},
        "scales": {
            "x": {"grid": {"display": False}, "ticks": {"maxTicksLimit": 8, "color": "#6b7280"}},
            "y": {"beginAtZero": True, "ticks": {"maxTicksLimit": 5, "precision": 0, "color": "#6b7280"}},
        },
    }
)
