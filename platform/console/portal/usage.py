"""Usage of a source: its quotas, charts of the last 30 days, and the statement of a month to read and to download."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _

from console.tenants.overview import overview
from console.tenants.roles import VIEW_COSTS
from console.tenants.statements import month_of
from jobs.billing.statement_export import FORMATS
from jobs.billing.statements import months, statement

from . import quota_use
from .chosen_source import chosen_source, page_context


def page(request: HttpRequest) -> HttpResponse:
    if not request.user.has_perm(VIEW_COSTS):
        raise PermissionDenied
    source = chosen_source(request)
    context = page_context(request, _("Usage"), source)
    if source is not None:
        month = month_of(request.GET.get("month", ""))
        account = statement(source, month)
        context |= {
            "quotas": quota_use.of_source(source),
            "charts": overview(request, source)["charts"],
            "account": account,
            "days": [(line.day, line) for line in account.by("day")],
            "months": sorted({*months(source), timezone.localdate().replace(day=1), month}, reverse=True),
            "formats": list(FORMATS),
        }
    return render(request, "admin/portal/usage.html", context)
