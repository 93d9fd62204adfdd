"""Jobs, read-only but for their cancelling."""

from __future__ import annotations

import json
import uuid
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline

from console.base import ConsoleAdmin, ReadOnly
from console.watching import job_state
from jobs import lifecycle
from jobs.models import Job, Output, OutputKind, Transition
from jobs.pictures import read_output
from jobs.thumbnails import thumbnail


class TransitionInline(TabularInline):
    model = Transition
    fields = ["at", "from_state", "to_state", "note"]
    readonly_fields = ["at", "from_state", "to_state", "note"]
    can_delete = False
    extra = max_num = 0
    verbose_name_plural = _("timeline")


@admin.register(Job)
class JobAdmin(ReadOnly, ConsoleAdmin):
    source_path = "source"
    list_display = ["short_id", "state", "source", "dialect", "checkpoint", "lane", "created_at", "duration"]
    list_filter = ["state", "dialect", "lane", "source", "created_at"]
    search_fields = ["external_id__startswith"]
    search_help_text = _("A job's id, or the beginning of the caller's id.")
    actions = ["cancel"]
    inlines = [TransitionInline]
    fieldsets = [
        (None, {"fields": ["id", "state", "source", "key", "dialect", "operation", "external_id", "lane"]}),
        (_("pictures"), {"fields": ["thumbnails", "storage_target"]}),
        (_("progress"), {"fields": ["step", "steps", "created_at", "started_at", "finished_at", "duration"]}),
        (_("error"), {"fields": ["error_code", "error_message"]}),
        (
            _("runner"),
            {
                "fields": [
                    "backend",
                    "workflow",
                    "runner",
                    "attempt",
                    "runner_deaths",
                    "lease_expires_at",
                    "signal",
                ]
            },
        ),
        (_("cost"), {"fields": ["cost_estimate", "cost", "engine_seconds", "device_seconds"]}),
        (_("request"), {"fields": ["checkpoint", "received_json", "request_json"]}),
    ]

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.change_job")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        picture, small = view(self.picture_view), view(self.thumbnail_view)
        return [
            path("<uuid:job_id>/state/", view(job_state), name="jobs_job_watch_progress"),
            path("<uuid:job_id>/pictures/<int:index>/", picture, name="jobs_job_picture"),
            path("<uuid:job_id>/pictures/<int:index>/thumbnail/", small, name="jobs_job_thumbnail"),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        # The long fields are for the job's own page; the secrets of key and runner are for none.
        jobs = super().get_queryset(request).select_related("source", "key", "checkpoint", "runner")
        long = ("received", "request", "error_message", "checkpoint__metadata")
        return jobs.defer(*long, "key__secret", "runner__token")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Job], search_term: str
    ) -> tuple[QuerySet[Job], bool]:
        try:
            return queryset.filter(pk=uuid.UUID(search_term.strip())), False
        except ValueError:
            return super().get_search_results(request, queryset, search_term)

    @admin.action(description=_("Cancel the selected jobs"), permissions=["cancel"])
    def cancel(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        active = [job for job in jobs if not job.is_terminal]
        for job in active:
            lifecycle.cancel(job.pk, note=f"console: {request.user.get_username()}")
        self.message_user(request, _("Jobs cancelled, or told to stop: %d") % len(active))

    @admin.display(description=_("job"), ordering="created_at")
    def short_id(self, job: Job) -> str:
        return str(job.pk)[:8]

    @admin.display(description=_("duration"))
    def duration(self, job: Job) -> str:
        if job.started_at is None:
            return "–"
        return f"{((job.finished_at or timezone.now()) - job.started_at).total_seconds():.1f} s"

    @admin.display(description=_("request as received"))
    def received_json(self, job: Job) -> SafeString:
        return _pretty(job.received)

    @admin.display(description=_("request as understood"))
    def request_json(self, job: Job) -> SafeString:
        return _pretty(job.request)

    @admin.display(description=_("pictures"))
    def thumbnails(self, job: Job) -> SafeString | str:
        rows = [
            (
                reverse("admin:jobs_job_picture", args=[job.pk, output.index]),
                reverse("admin:jobs_job_thumbnail", args=[job.pk, output.index]),
                output.infotext,
            )
            for output in job.pictures
        ]
        picture = (
            '<a href="{}"><img src="{}" title="{}" alt="" loading="lazy" style="max-height: 192px"></a> '
        )
        return format_html_join("", picture, rows) or "–"

    def picture_view(self, request: HttpRequest, job_id: uuid.UUID, index: int) -> HttpResponse:
        output = self._output(request, job_id, index)
        return HttpResponse(read_output(output), content_type=output.content_type)

    def thumbnail_view(self, request: HttpRequest, job_id: uuid.UUID, index: int) -> HttpResponse:
        output = self._output(request, job_id, index)
        return HttpResponse(thumbnail(read_output(output)), content_type="image/webp")

    def _output(self, request: HttpRequest, job_id: uuid.UUID, index: int) -> Output:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return get_object_or_404(
            Output, job__in=self.get_queryset(request), job_id=job_id, kind=OutputKind.PICTURE, index=index
        )


def _pretty(value: Any) -> SafeString:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return format_html('<pre style="white-space: pre-wrap; margin: 0">{}</pre>', text)
