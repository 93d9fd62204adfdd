"""Jobs, read-only but for their cancelling, and the runners."""

from __future__ import annotations

import json
import uuid
from typing import Any

from django import forms
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

from jobs import (
    lifecycle,
    workflow_admin,  # noqa: F401
)
from jobs.callbacks import admin as callbacks_admin  # noqa: F401
from jobs.models import Job, Output, OutputKind, Runner, Transition
from jobs.pictures import read_output
from jobs.storage_targets import admin as storage_targets_admin  # noqa: F401
from jobs.thumbnails import thumbnail


class TransitionInline(admin.TabularInline):
    model = Transition
    fields = ["at", "from_state", "to_state", "note"]
    readonly_fields = ["at", "from_state", "to_state", "note"]
    can_delete = False
    extra = max_num = 0
    verbose_name_plural = _("timeline")


@admin.register(Job)
class JobAdmin(admin.ModelAdmin):
    list_display = ["short_id", "state", "source", "dialect", "checkpoint", "lane", "created_at", "duration"]
    list_filter = ["state", "dialect", "lane", "source", "created_at"]
    search_fields = ["external_id__startswith"]
    search_help_text = _("A job's id, or the beginning of the caller's id.")
    show_full_result_count = False
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

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Job | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Job | None = None) -> bool:
        return False

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.change_job")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        picture, small = view(self.picture_view), view(self.thumbnail_view)
        return [
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
        return get_object_or_404(Output, job_id=job_id, kind=OutputKind.PICTURE, index=index)


def _pretty(value: Any) -> SafeString:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return format_html('<pre style="white-space: pre-wrap; margin: 0">{}</pre>', text)


class RunnerForm(forms.ModelForm):
    url = forms.URLField(label=_("address"), max_length=300, assume_scheme="http")
    new_token = forms.CharField(
        label=_("new token"),
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("Empty: it stays as it is. A runner without one uses RUNNER_TOKEN."),
    )

    def save(self, commit: bool = True) -> Any:
        if self.cleaned_data["new_token"]:
            self.instance.token = self.cleaned_data["new_token"]
        return super().save(commit)


@admin.register(Runner)
class RunnerAdmin(admin.ModelAdmin):
    form = RunnerForm
    list_display = ["name", "url", "backend", "enabled", "draining", "slots", "device", "seen_at", "problem"]
    list_filter = ["enabled", "draining", "backend"]
    show_full_result_count = False
    fields = [
        "name",
        "url",
        "backend",
        "new_token",
        "enabled",
        "draining",
        "slots",
        "device",
        "memory_bytes",
        "version",
        "models_of_its_own",
        "seen_at",
        "problem",
    ]
    readonly_fields = [
        *["slots", "device", "memory_bytes", "version", "models_of_its_own", "seen_at", "problem"]
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Runner]:
        return super().get_queryset(request).defer("token", "nodes")

    @admin.display(description=_("own model files"))
    def models_of_its_own(self, runner: Runner) -> str:
        return ", ".join(runner.own_files.order_by("path").values_list("path", flat=True)) or "–"
