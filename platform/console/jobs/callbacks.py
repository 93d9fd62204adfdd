"""Admin of callbacks: delivery attempts with their responses, and an action that sends callbacks again."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import ShowFacets
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import TabularInline
from unfold.decorators import display

from console.admin_base.base import ConsoleAdmin, ReadOnly, TenantRestrictions
from console.admin_base.choice_filters import Choice, ChoiceFilter, SourceChoiceFilter
from console.admin_base.keyset_pagination import KeysetChangeList
from jobs.models import Job
from jobs.models.callback import Callback, CallbackAttempt, CallbackState
from jobs.outbound.callbacks import outbox
from jobs.outbound.callbacks.policies import dialects
from jobs.selectors import search

BADGES = {
    CallbackState.DELIVERED: "success",
    CallbackState.DEAD: "danger",
    CallbackState.PENDING: "info",
    CallbackState.SENDING: "info",
    "retrying": "warning",
}

MAX_SEARCHED_JOBS = 1000  # jobs found by a search term whose callbacks are listed


class AttemptInline(TenantRestrictions, TabularInline):
    model = CallbackAttempt
    fields = ["number", "at", "status", "acknowledged", "excerpt"]
    readonly_fields = ["number", "at", "status", "acknowledged", "excerpt"]
    can_delete = False
    extra = max_num = 0


class CallbackStateFilter(ChoiceFilter):
    """Callback states, failed ones first."""

    title, parameter_name, field = _("state"), "state", "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Choice]:
        return [
            ("dead", _("failed permanently")),
            ("retrying", _("retrying")),
            *(choice for choice in CallbackState.choices if choice[0] != CallbackState.DEAD),
        ]

    def filter_rows(self, rows: QuerySet[Callback], value: str) -> QuerySet[Callback]:
        if value == "retrying":
            return rows.filter(state=CallbackState.PENDING, attempts__gt=0)
        return rows.filter(state=value)


class CallbackDialectFilter(ChoiceFilter):
    title, parameter_name, field = _("dialect"), "dialect", "dialect"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Choice]:
        return [(name, name) for name in dialects()]


class JobSourceFilter(SourceChoiceFilter):
    field = "job__source"


@admin.register(Callback)
class CallbackAdmin(ReadOnly, ConsoleAdmin):
    source_path = "job__source"
    list_display = [
        "short_job",
        "badge",
        "dialect",
        "url",
        "attempts",
        "last_status",
        "last_excerpt",
        "next_at",
        "created_at",
    ]
    list_display_links = ["badge"]
    list_filter = [CallbackStateFilter, JobSourceFilter, CallbackDialectFilter]
    list_per_page = 50
    sortable_by = ()
    show_facets = ShowFacets.NEVER
    search_fields = ["url"]  # enables the search box; get_search_results below implements the search
    search_help_text = _("Job id, external id, or beginning of the URL")
    actions = ["replay"]
    inlines = [AttemptInline]
    readonly_fields = ["job_link"]
    fields = [
        "id",
        "job_link",
        "dialect",
        "url",
        "state",
        "attempts",
        "next_at",
        "last_status",
        "last_excerpt",
        "body",
        "created_at",
        "delivered_at",
    ]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return KeysetChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Callback]:
        callbacks: QuerySet[Callback] = super().get_queryset(request).defer("body", "extra", "headers")
        return callbacks

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Callback], search_term: str
    ) -> tuple[QuerySet[Callback], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        if term.startswith("http"):
            return queryset.filter(url__startswith=term), False
        jobs = search(Job.objects.order_by("-created_at"), term).values_list("pk", flat=True)
        return queryset.filter(job__in=list(jobs[:MAX_SEARCHED_JOBS])), False

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.change_callback")

    @admin.action(description=_("Send the selected callbacks again"), permissions=["replay"])
    def replay(self, request: HttpRequest, callbacks: QuerySet[Callback]) -> None:
        chosen = list(callbacks)
        again = [callback for callback in chosen if outbox.replay(callback)]
        for callback in again:
            self.log_change(request, callback, _("Callback sent again."))
        if again:
            self.message_user(request, _("Callbacks that will be sent again: %d") % len(again))
        if pending := len(chosen) - len(again):
            text = ngettext(
                "%d callback is still being sent: it can be sent again when it is delivered or has failed permanently.",
                "%d callbacks are still being sent: they can be sent again when they are delivered or have failed "
                "permanently.",
                pending,
            )
            self.message_user(request, text % pending, messages.WARNING)

    @display(description=_("job"))
    def short_job(self, callback: Callback) -> SafeString:
        return self._link(callback, str(callback.job_id)[:8])

    @display(description=_("job"))
    def job_link(self, callback: Callback) -> SafeString:
        return self._link(callback, str(callback.job_id))

    @display(description=_("state"), label=BADGES)
    def badge(self, callback: Callback) -> tuple[str, str]:
        if callback.state == CallbackState.PENDING and callback.attempts:
            return "retrying", str(_("retrying"))
        return callback.state, str(CallbackState(callback.state).label)

    def _link(self, callback: Callback, text: str) -> SafeString:
        if callback.job_id is None:
            url = reverse("admin:jobs_modelintake_change", args=[callback.intake_id])
            return format_html('<a class="text-link" href="{}">{}</a>', url, _("model from a URL"))
        url = reverse("admin:jobs_job_change", args=[callback.job_id])
        return format_html('<a class="text-link" href="{}">{}</a>', url, text)
