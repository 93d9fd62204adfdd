"""Start page of a tenant: today's use, last images, callbacks that fail and keys that expire soon."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from access.models import AccessKey, BusinessSource
from access.tenancy import is_tenant
from console.dashboard import live_figures
from console.tenants.roles import VIEW_COSTS, VIEW_IMAGES
from jobs.execution import slots
from jobs.models import Job, Output, OutputKind, State
from jobs.models.callback import Callback, CallbackState

from . import quota_use
from .chosen_source import chosen_source, page_context

LAST_IMAGES = 12
LAST_JOBS = 60  # newest jobs among which the last images are searched
EXPIRES_WITHIN = timedelta(days=14)
FAILED_CALLBACKS = 5
# Pages that the short navigation does not have: permission, URL name, title.
MORE = (
    ("jobs.view_callback", "admin:jobs_callback_changelist", lambda: _("Callbacks")),
    ("access.view_posting", "admin:access_posting_changelist", lambda: _("Ledger")),
    ("jobs.view_archivedjob", "admin:jobs_archivedjob_changelist", lambda: _("Archive")),
    ("jobs.view_modelintake", "admin:jobs_modelintake_changelist", lambda: _("Models from URLs")),
    (
        "models_registry.view_promptstyle",
        "admin:models_registry_promptstyle_changelist",
        lambda: _("Prompt styles"),
    ),
    ("jobs.view_output", "console:labels", lambda: _("Read labels")),
)


def home(request: HttpRequest) -> HttpResponseBase:
    """``/admin/``: the overview for users of tenants, the dashboard for all others."""
    return page(request) if is_tenant(request.user) else admin.site.index(request)


def page(request: HttpRequest) -> HttpResponse:
    source = chosen_source(request)
    context = page_context(request, _("Overview"), source)
    if source is not None:
        context |= _figures(request, source)
    return render(request, "admin/portal/overview.html", context)


def _figures(request: HttpRequest, source: BusinessSource) -> dict[str, Any]:
    may, now = request.user.has_perm, timezone.now()
    this = BusinessSource.objects.filter(pk=source.pk)
    more = [(reverse(url), title()) for permission, url, title in MORE if may(permission)]
    more.append(
        (reverse("admin:access_businesssource_change", args=[source.pk]), _("Settings of the source"))
    )
    figures: dict[str, Any] = {"more": more}
    if may("jobs.view_job"):
        figures["running"] = slots.taken(source.pk, State.RUNNING)
        figures["queued"] = slots.taken(source.pk, State.QUEUED)
    if may(VIEW_COSTS):
        figures["quotas"] = quota_use.of_source(source)
    if all(may(permission) for permission in VIEW_IMAGES):
        figures["images"] = _last_images(source)
    if may("jobs.view_callback"):
        figures["undelivered"] = live_figures.undelivered_callbacks(this, now)
        figures["failed_callbacks"] = _failed_callbacks(source)
    if may("access.view_accesskey"):
        soon = {"expires_at__gt": now, "expires_at__lt": now + EXPIRES_WITHIN, "enabled": True}
        keys = AccessKey.objects.filter(source=source, session_token=None, **soon)
        figures["expiring_keys"] = keys.only("key_id", "note", "expires_at").order_by("expires_at")
    return figures


def _last_images(source: BusinessSource) -> QuerySet[Output]:
    jobs = Job.objects.filter(source=source).order_by("-created_at", "-pk").values_list("pk", flat=True)
    outputs = Output.objects.filter(job__in=list(jobs[:LAST_JOBS]), kind=OutputKind.IMAGE)
    return outputs.select_related("job").order_by("-job__created_at", "-job__pk", "index")[:LAST_IMAGES]


def _failed_callbacks(source: BusinessSource) -> QuerySet[Callback]:
    since = timezone.now() - live_figures.DAY
    failed = Callback.objects.filter(job__source=source, state=CallbackState.DEAD, created_at__gte=since)
    return failed.defer("body", "extra", "headers").order_by("-created_at")[:FAILED_CALLBACKS]
