"""Actions on jobs: cancel, retry, rerun and replay of the callback, from a job's page and in bulk from the list."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _

from console.admin_base.base import ConsoleAdmin
from jobs.admission import rerun
from jobs.errors import Refused
from jobs.execution import lifecycle
from jobs.models import Job, State
from jobs.models.callback import Callback, CallbackState
from jobs.outbound.callbacks import outbox

BACK = "back"  # in the URL of an action: "list" leads back to the list
REPLAYABLE = frozenset({CallbackState.DELIVERED, CallbackState.DEAD})


def may_cancel(job: Job) -> bool:
    return not job.is_terminal and job.cancel_requested_at is None


def may_retry(job: Job) -> bool:
    return job.state in rerun.RETRIED


def may_rerun(job: Job) -> bool:
    return job.state == State.SUCCEEDED


class JobActions(ConsoleAdmin):
    """Admin mixin with the actions. Each is logged in the history of the job, and of the new job if it creates one."""

    actions = ("cancel", "retry", "rerun")

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("jobs.change_job"))

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("jobs.change_callback"))

    def visible_job(self, request: HttpRequest, job_id: uuid.UUID) -> Job:
        """The job, if the user may see it.

        Raises PermissionDenied without permission to view jobs, and Http404 for jobs that do not exist or belong to
        another tenant, so that their existence is not revealed.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        job: Job = get_object_or_404(self.get_queryset(request), pk=job_id)
        return job

    # Actions of the list --------------------------------------------------------------------------------------------

    @admin.action(description=_("Cancel the selected jobs"), permissions=["operate"])
    def cancel(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        active = [job for job in jobs if not job.is_terminal]
        for job in active:
            self._cancel(request, job)
        self.message_user(request, _t("Jobs cancelled or being cancelled: %d") % len(active))

    @admin.action(description=_("Retry the selected failed jobs"), permissions=["operate"])
    def retry(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        self._repeat_all(request, filter(may_retry, jobs), rerun.retry)

    @admin.action(description=_("Rerun the selected jobs with the same seed"), permissions=["operate"])
    def rerun(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        self._repeat_all(request, filter(may_rerun, jobs), rerun.rerun)

    def _repeat_all(self, request: HttpRequest, jobs: Any, repeat: Callable[..., Job]) -> None:
        new, refusals = 0, []
        for job in jobs:
            try:
                self._repeat(request, job, repeat)
                new += 1
            except Refused as refused:
                refusals.append(f"{str(job.pk)[:8]}: {refused.message}")
        self.message_user(request, _t("New jobs: %d") % new)
        for text in refusals:
            self.message_user(request, text, messages.ERROR)

    # Buttons of the job's page --------------------------------------------------------------------------------------

    def act_view(self, request: HttpRequest, job_id: uuid.UUID, what: str) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if what not in PAGE_ACTIONS:
            raise Http404
        permitted = self.has_replay_permission if what == "replay" else self.has_operate_permission
        if not permitted(request):
            raise PermissionDenied
        job = self.visible_job(request, job_id)
        try:
            next_job = PAGE_ACTIONS[what](self, request, job)
        except Refused as refused:
            self.message_user(request, refused.message, messages.ERROR)
            next_job = job
        if request.GET.get(BACK) == "list":
            return HttpResponseRedirect(_list_of(request))
        return HttpResponseRedirect(reverse("admin:jobs_job_change", args=[next_job.pk]))

    def _cancel_one(self, request: HttpRequest, job: Job) -> Job:
        if may_cancel(job):
            self._cancel(request, job)
            self.message_user(request, _t("The job was cancelled, or its runner will stop it shortly."))
        else:
            self.message_user(request, _t("The job has already ended."), messages.WARNING)
        return job

    def _retry_one(self, request: HttpRequest, job: Job) -> Job:
        return self._repeat_one(request, job, rerun.retry, may_retry)

    def _rerun_one(self, request: HttpRequest, job: Job) -> Job:
        return self._repeat_one(request, job, rerun.rerun, may_rerun)

    def _repeat_one(
        self, request: HttpRequest, job: Job, repeat: Callable[..., Job], allowed: Callable[[Job], bool]
    ) -> Job:
        if not allowed(job):
            self.message_user(
                request, _t("This action is not available in the job's current state."), messages.WARNING
            )
            return job
        new = self._repeat(request, job, repeat)
        self.message_user(request, _t("The new job was created."))
        return new

    def _replay_one(self, request: HttpRequest, job: Job) -> Job:
        callback = Callback.objects.filter(job=job).first()
        if callback is not None and outbox.replay(callback):
            self.log_change(request, job, _t("Callback sent again."))
            self.message_user(request, _t("The callback will be sent again."))
        else:
            self.message_user(request, _t("There is no callback that can be sent again."), messages.WARNING)
        return job

    # Shared ---------------------------------------------------------------------------------------------------------

    def _cancel(self, request: HttpRequest, job: Job) -> None:
        lifecycle.cancel(job.pk, note=note_of(request))
        self.log_change(request, job, _t("Cancelled."))

    def _repeat(self, request: HttpRequest, job: Job, repeat: Callable[..., Job]) -> Job:
        new = repeat(job, note=note_of(request))
        self.log_change(request, job, _t("Repeated as %(job)s.") % {"job": new.pk})
        self.log_change(request, new, _t("Repeats %(job)s.") % {"job": job.pk})
        return new


def _list_of(request: HttpRequest) -> str:
    """The list of jobs with the filters and the page that the button was pressed on."""
    page, came_from = reverse("admin:jobs_job_changelist"), urlsplit(request.headers.get("Referer", ""))
    return f"{page}?{came_from.query}" if came_from.path == page and came_from.query else page


def note_of(request: HttpRequest) -> str:
    return f"console: {request.user.get_username()}"


PAGE_ACTIONS: dict[str, Callable[[JobActions, HttpRequest, Job], Job]] = {
    "cancel": JobActions._cancel_one,
    "retry": JobActions._retry_one,
    "rerun": JobActions._rerun_one,
    "replay": JobActions._replay_one,
}
