"""Jobs: their list, and the views of one. Nobody edits a job; what can be done to it is in console.jobs.actions."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any

from django.contrib import admin
from django.contrib.admin import ShowFacets
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import display

from access.tenancy import visible_sources
from console.admin_base.base import ReadOnly
from console.admin_base.choice_filters import SourceFilter
from console.admin_base.keyset_pagination import KeysetChangeList
from console.jobs.actions import JobActions
from jobs.models import Job, Output, OutputKind, State
from jobs.selectors import search

from . import compare, filters, live, page, pictures


@admin.register(Job)
class JobAdmin(ReadOnly, JobActions):
    source_path = "source"
    list_display = [
        "picture",
        "short_id",
        "badge",
        "source",
        "dialect",
        "checkpoint",
        "duration",
        "price",
        "created_at",
    ]
    list_display_links = ["short_id"]
    list_filter = [
        filters.StateFilter,
        SourceFilter,
        filters.AgeFilter,
        filters.DialectFilter,
        filters.CheckpointFilter,
        filters.LaneFilter,
        filters.ErrorFilter,
        filters.RunnerFilter,
        ("created_at", RangeDateTimeFilter),
    ]
    list_per_page = 25
    sortable_by = ()
    show_facets = ShowFacets.NEVER
    search_fields = ["external_id"]  # that there is a search; jobs.searching says what it finds
    search_help_text = _("Job id, caller's id or error code")

    class Media:
        css = {"all": ["console/jobs.css"]}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return KeysetChangeList

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        if visible_sources(request.user) is None:
            return list(self.list_filter)
        return [kept for kept in self.list_filter if kept not in filters.NOT_FOR_TENANTS]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        # The long fields are for the job's own page; the secrets of key and runner are for none.
        jobs = super().get_queryset(request).select_related("source", "key", "checkpoint", "runner")
        long = ("received", "request", "error_message", "checkpoint__metadata")
        return jobs.defer(*long, "key__secret", "key__session_token", "runner__token").prefetch_related(FIRST)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Job], search_term: str
    ) -> tuple[QuerySet[Job], bool]:
        return search(queryset, search_term) if search_term.strip() else queryset, False

    # The list ---------------------------------------------------------------------------------------------------

    @display(description=_("picture"))
    def picture(self, job: Job) -> SafeString:
        if not job.first:  # type: ignore[attr-defined]
            return mark_safe('<span class="job-no-picture"></span>')
        return format_html(
            # To the ear it would only repeat the link that follows.
            '<a href="{}" aria-hidden="true" tabindex="-1">'
            '<img class="job-thumbnail" src="{}" alt="" loading="lazy" width="48" height="48"></a>',
            reverse("admin:jobs_job_change", args=[job.pk]),
            reverse("admin:jobs_job_thumbnail", args=[job.pk, 0]),
        )

    @display(description=_("job"))
    def short_id(self, job: Job) -> str:
        return str(job.pk)[:8]

    @display(description=_("state"))
    def badge(self, job: Job) -> SafeString:
        # Not unfold's label: that renders two templates for every row.
        return format_html('<span class="job-badge job-{}">{}</span>', job.state, State(job.state).label)

    @display(description=_("duration"))
    def duration(self, job: Job) -> str:
        seconds = page.run_seconds(job)
        return "–" if seconds is None else page.seconds_in_words(seconds)

    @display(description=_("cost"))
    def price(self, job: Job) -> str:
        return number_format(job.cost if job.is_terminal else job.cost_estimate, 2)

    # One job ----------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        kept = partial(view, cacheable=True)  # by the browser; these say for how long
        job = "<uuid:job_id>/"
        return [
            path(job + "pictures/<int:index>/", kept(self.picture_view), name="jobs_job_picture"),
            path(
                job + "pictures/<int:index>/thumbnail/", kept(self.thumbnail_view), name="jobs_job_thumbnail"
            ),
            path(job + "live/", view(self.live_view), name="jobs_job_live"),
            path(job + "preview/", view(self.preview_view), name="jobs_job_preview"),
            path(job + "compare/<uuid:other_id>/", view(self.compare_view), name="jobs_job_compare"),
            path(job + "do/<slug:what>/", view(self.act_view), name="jobs_job_do"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if request.method not in {"GET", "HEAD"}:
            raise PermissionDenied
        try:
            job = self.visible_job(request, uuid.UUID(object_id))
        except ValueError:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        told = page.context(job, request, may_operate=self.has_operate_permission(request))
        return TemplateResponse(
            request,
            "admin/jobs/job/page.html",
            {
                **self.admin_site.each_context(request),
                "title": _("Job %(id)s") % {"id": str(job.pk)[:8]},
                "opts": self.opts,
                "original": job,
                "media": self.media,
                **told,
            },
        )

    def compare_view(self, request: HttpRequest, job_id: uuid.UUID, other_id: uuid.UUID) -> HttpResponse:
        jobs = [self.visible_job(request, one) for one in (job_id, other_id)]
        return TemplateResponse(
            request,
            "admin/jobs/job/compare.html",
            {
                **self.admin_site.each_context(request),
                "title": _("Comparison"),
                "opts": self.opts,
                "media": self.media,
                "jobs": jobs,
                **compare.context(*jobs),
            },
        )

    def live_view(self, request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
        told = live.progress(self.visible_job(request, job_id))
        return JsonResponse(told, headers={"Cache-Control": "no-store"})

    def preview_view(self, request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
        return live.preview(self.visible_job(request, job_id))

    def picture_view(self, request: HttpRequest, job_id: uuid.UUID, index: int) -> HttpResponse:
        return pictures.whole(request, self._output(request, job_id, index))

    def thumbnail_view(self, request: HttpRequest, job_id: uuid.UUID, index: int) -> HttpResponse:
        return pictures.small(request, self._output(request, job_id, index))

    def _output(self, request: HttpRequest, job_id: uuid.UUID, index: int) -> Output:
        if not self.has_view_permission(request):
            raise PermissionDenied
        jobs = super().get_queryset(request).filter(pk=job_id)
        return get_object_or_404(Output, job__in=jobs, kind=OutputKind.PICTURE, index=index)


FIRST = Prefetch(
    "outputs",
    Output.objects.filter(kind=OutputKind.PICTURE, index=0).only("job_id").order_by(),
    to_attr="first",
)
