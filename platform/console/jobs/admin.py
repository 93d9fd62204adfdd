"""Admin of jobs: the list and the views of one job. Jobs are read-only; console.jobs.actions has their actions."""

from __future__ import annotations

import re
import uuid
from functools import partial
from typing import Any

from django.contrib import admin
from django.contrib.admin import ShowFacets
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch, QuerySet
from django.db.models.functions import Left
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
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
from console.admin_base.choice_filters import SourceChoiceFilter
from console.jobs.actions import BACK, may_cancel
from console.jobs.job_list import JobChangeList, table_only
from console.jobs.reproduction import Reproductions
from jobs.models import Job, JobInput, Output, OutputKind, State
from jobs.selectors import search

from . import compare, filters, images, live, page

SHA256 = re.compile(r"[0-9a-f]{64}")
ERROR_LENGTH = 120  # characters of an error message in the list


@admin.register(Job)
class JobAdmin(ReadOnly, Reproductions):
    source_path = "source"
    list_display = [
        "image",
        "short_id",
        "badge",
        "source",
        "dialect",
        "checkpoint",
        "duration",
        "price",
        "error",
        "created_at",
    ]
    list_before_template = "admin/jobs/job/refresh.html"
    list_display_links = ["short_id"]
    list_filter = [
        filters.StateFilter,
        SourceChoiceFilter,
        filters.AgeFilter,
        filters.DialectFilter,
        filters.CheckpointFilter,
        filters.LaneFilter,
        filters.ErrorFilter,
        filters.RunnerFilter,
        filters.EndUserFilter,
        ("created_at", RangeDateTimeFilter),
    ]
    list_per_page = 25
    sortable_by = ()
    show_facets = ShowFacets.NEVER
    search_fields = ["external_id"]  # enables the search box; get_search_results below implements the search
    search_help_text = _("Job id, external id, error code or words of the prompt")

    class Media:
        css = {"all": ["console/jobs.css"]}
        js = ["console/job_list.js"]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[JobChangeList]:
        return JobChangeList

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        response: HttpResponse = table_only(request, super().changelist_view(request, extra_context))
        return response

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        shown = list(super().get_list_display(request))
        return [*shown, "cancel_button"] if self.has_operate_permission(request) else shown

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        if visible_sources(request.user) is None:
            return list(self.list_filter)
        return [kept for kept in self.list_filter if kept not in filters.NOT_FOR_TENANTS]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        # Large fields are needed by the job's own page only; the secrets of keys and runners by no page.
        jobs = super().get_queryset(request).select_related("source", "key", "checkpoint", "runner")
        long = ("received", "request", "findings", "environment", "error_message", "checkpoint__metadata")
        return (
            jobs.defer(*long, "key__secret", "key__session_token", "runner__token", "runner__server_secret")
            .annotate(error_start=Left("error_message", ERROR_LENGTH))
            .prefetch_related(FIRST_IMAGE)
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Job], search_term: str
    ) -> tuple[QuerySet[Job], bool]:
        return search(queryset, search_term) if search_term.strip() else queryset, False

    # The list ---------------------------------------------------------------------------------------------------

    @display(description=_("image"))
    def image(self, job: Job) -> SafeString:
        if not job.first:  # type: ignore[attr-defined]
            return mark_safe('<span class="job-no-image"></span>')
        return format_html(
            # Hidden from screen readers: the next column links to the same page.
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
        # unfold's label would render two templates for every row.
        return format_html('<span class="job-badge job-{}">{}</span>', job.state, State(job.state).label)

    @display(description=_("duration"))
    def duration(self, job: Job) -> str:
        seconds = page.run_seconds(job)
        return "–" if seconds is None else page.format_seconds(seconds)

    @display(description=_("cost"))
    def price(self, job: Job) -> str:
        return number_format(job.cost if job.is_terminal else job.cost_estimate, 2)

    @display(description=_("error"))
    def error(self, job: Job) -> SafeString | str:
        if not job.error_code:
            return "–"
        text = job.error_start  # type: ignore[attr-defined]
        cut = "…" if len(text) == ERROR_LENGTH else ""
        return format_html('<code>{}</code> <span class="job-reason">{}{}</span>', job.error_code, text, cut)

    @display(description=_("action"))
    def cancel_button(self, job: Job) -> SafeString | str:
        if not may_cancel(job):
            return "–"
        # Submits the form of the list, which has the CSRF token, to the URL of the job.
        return format_html(
            '<button class="job-button" formaction="{}?{}" aria-label="{}">{}</button>',
            reverse("admin:jobs_job_do", args=[job.pk, "cancel"]),
            f"{BACK}=list",
            _("Cancel job %(id)s") % {"id": str(job.pk)[:8]},
            _("Cancel"),
        )

    # One job ----------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        cached_view = partial(view, cacheable=True)  # these views set Cache-Control themselves
        job = "<uuid:job_id>/"
        return [
            path(job + "pictures/<int:index>/", cached_view(self.image_view), name="jobs_job_image"),
            path(
                job + "pictures/<int:index>/thumbnail/",
                cached_view(self.thumbnail_view),
                name="jobs_job_thumbnail",
            ),
            path(job + "inputs/<str:sha256>/", cached_view(self.input_view), name="jobs_job_input"),
            path(
                job + "control-maps/<int:index>/",
                cached_view(self.control_map_view),
                name="jobs_job_control_map",
            ),
            path(job + "extras/<int:index>/", cached_view(self.extra_view), name="jobs_job_extra"),
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
        context = page.context(job, request, may_operate=self.has_operate_permission(request))
        return TemplateResponse(
            request,
            "admin/jobs/job/page.html",
            {
                **self.admin_site.each_context(request),
                "title": _("Job %(id)s") % {"id": str(job.pk)[:8]},
                "opts": self.opts,
                "original": job,
                "media": self.media,
                **context,
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
        progress = live.progress(self.visible_job(request, job_id))
        return JsonResponse(progress, headers={"Cache-Control": "no-store"})

    def preview_view(self, request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
        return live.preview(self.visible_job(request, job_id))

    def image_view(self, request: HttpRequest, job_id: uuid.UUID, index: int) -> HttpResponseBase:
        return images.full_size(request, self._output(request, job_id, index))

    def thumbnail_view(self, request: HttpRequest, job_id: uuid.UUID, index: int) -> HttpResponse:
        return images.thumbnail(request, self._output(request, job_id, index))

    def control_map_view(self, request: HttpRequest, job_id: uuid.UUID, index: int) -> HttpResponseBase:
        return images.full_size(request, self._output(request, job_id, index, OutputKind.CONTROL_MAP))

    def extra_view(self, request: HttpRequest, job_id: uuid.UUID, index: int) -> HttpResponseBase:
        return images.full_size(request, self._output(request, job_id, index, OutputKind.EXTRA))

    def input_view(self, request: HttpRequest, job_id: uuid.UUID, sha256: str) -> HttpResponse:
        if not SHA256.fullmatch(sha256):
            raise Http404
        used = get_object_or_404(JobInput, job__in=self._visible(request, job_id), sha256=sha256)
        return images.input_image(request, used.sha256)

    def _output(
        self, request: HttpRequest, job_id: uuid.UUID, index: int, kind: OutputKind = OutputKind.IMAGE
    ) -> Output:
        return get_object_or_404(Output, job__in=self._visible(request, job_id), kind=kind, index=index)

    def _visible(self, request: HttpRequest, job_id: uuid.UUID) -> QuerySet[Job]:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return super().get_queryset(request).filter(pk=job_id)


FIRST_IMAGE = Prefetch(
    "outputs",
    Output.objects.filter(kind=OutputKind.IMAGE, index=0).only("job_id").order_by(),
    to_attr="first",
)
