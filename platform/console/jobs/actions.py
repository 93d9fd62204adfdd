"""What can be done to a job, from its page and, to many at once, from the list."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

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

REPLAYED = frozenset({CallbackState.DELIVERED, CallbackState.DEAD})


def may_cancel(job: Job) -> bool:
    return not job.is_terminal and job.cancel_requested_at is None


def may_retry(job: Job) -> bool:
    return job.state in rerun.RETRIED


def may_rerun(job: Job) -> bool:
    return job.state == State.SUCCEEDED


class JobActions(ConsoleAdmin):
    """Each is written to the history of the job, and of the new one where there is one."""

    actions = ("cancel", "retry", "rerun")

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("jobs.change_job"))

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("jobs.change_callback"))

    def visible_job(self, request: HttpRequest, job_id: uuid.UUID) -> Job:
        """Raises PermissionDenied, or Http404: for another tenant's job just as for one that never was."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        job: Job = get_object_or_404(self.get_queryset(request), pk=job_id)
        return job

    # From the list ------------------------------------------------------------------------------------------------

    @admin.action(description=_("Cancel the selected jobs"), permissions=["operate"])
    def cancel(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        active = [job for job in jobs if not job.is_terminal]
        for job in active:
            self._cancel(request, job)
        self.message_user(request, _t("Jobs cancelled, or told to stop: %d") % len(active))

    @admin.action(description=_("Retry the selected jobs that failed"), permissions=["operate"])
    def retry(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        self._repeat_all(request, filter(may_retry, jobs), rerun.retry)

    @admin.action(description=_("Draw the selected jobs again, same seed"), permissions=["operate"])
    def rerun(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        self._repeat_all(request, filter(may_rerun, jobs), rerun.rerun)

    def _repeat_all(self, request: HttpRequest, jobs: Any, how: Callable[..., Job]) -> None:
        new, refusals = 0, []
        for job in jobs:
            try:
                self._repeat(request, job, how)
                new += 1
            except Refused as refused:
                refusals.append(f"{str(job.pk)[:8]}: {refused.message}")
        self.message_user(request, _t("New jobs: %d") % new)
        for text in refusals:
            self.message_user(request, text, messages.ERROR)

    # From its page ------------------------------------------------------------------------------------------------

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
            shown = PAGE_ACTIONS[what](self, request, job)
        except Refused as refused:
            self.message_user(request, refused.message, messages.ERROR)
            shown = job
        return HttpResponseRedirect(reverse("admin:jobs_job_change", args=[shown.pk]))

    def _cancel_one(self, request: HttpRequest, job: Job) -> Job:
        if may_cancel(job):
            self._cancel(request, job)
            self.message_user(request, _t("The job is cancelled, or its runner is told to stop."))
        else:
            self.message_user(request, _t("The job has ended already."), messages.WARNING)
        return job

    def _retry_one(self, request: HttpRequest, job: Job) -> Job:
        return self._repeat_one(request, job, rerun.retry, may_retry)

    def _rerun_one(self, request: HttpRequest, job: Job) -> Job:
        return self._repeat_one(request, job, rerun.rerun, may_rerun)

    def _repeat_one(
        self, request: HttpRequest, job: Job, how: Callable[..., Job], allowed: Callable[[Job], bool]
    ) -> Job:
        if not allowed(job):
            self.message_user(request, _t("Not in this state."), messages.WARNING)
            return job
        new = self._repeat(request, job, how)
        self.message_user(request, _t("This is the new job."))
        return new

    def _replay_one(self, request: HttpRequest, job: Job) -> Job:
        callback = Callback.objects.filter(job=job).first()
        if callback is not None and outbox.replay(callback):
            self.log_change(request, job, _t("Callback sent again."))
            self.message_user(request, _t("The callback will be sent again."))
        else:
            self.message_user(request, _t("There is no callback to be sent again now."), messages.WARNING)
        return job

    # Both ---------------------------------------------------------------------------------------------------------

    def _cancel(self, request: HttpRequest, job: Job) -> None:
        lifecycle.cancel(job.pk, note=_note(request))
        self.log_change(request, job, _t("Cancelled."))

    def _repeat(self, request: HttpRequest, job: Job, how: Callable[..., Job]) -> Job:
        new = how(job, note=_note(request))
        self.log_change(request, job, _t("Drawn again as %(job)s.") % {"job": new.pk})
        self.log_change(request, new, _t("Repeats %(job)s.") % {"job": job.pk})
        return new


def _note(request: HttpRequest) -> str:
    return f"console: {request.user.get_username()}"


PAGE_ACTIONS: dict[str, Callable[[JobActions, HttpRequest, Job], Job]] = {
    "cancel": JobActions._cancel_one,
    "retry": JobActions._retry_one,
    "rerun": JobActions._rerun_one,
    "replay": JobActions._replay_one,
}
