"""Cancel, interrupt and skip. A job that has ended is not changed, so that a repeated call is no error."""

from __future__ import annotations

from django.utils.translation import gettext as _

from jobs.execution import lifecycle
from jobs.models import Job, Signal, State

from .errors import Problem

CANCEL_NOTE = "cancelled by its client"


def cancel(job: Job) -> None:
    """Stop a job; its images are dropped."""
    lifecycle.cancel(job.pk, note=CANCEL_NOTE)


def interrupt(job: Job) -> None:
    """Stop a running job and keep its images. A queued one is cancelled."""
    if not lifecycle.signal(job.pk, Signal.INTERRUPT):
        lifecycle.cancel(job.pk, note=CANCEL_NOTE)


def skip(job: Job) -> None:
    """Stop the current batch of a running job. Raises Problem 409 for a queued one."""
    if not lifecycle.signal(job.pk, Signal.SKIP) and job.state == State.QUEUED:
        raise Problem(409, "not_running", _("The job is not running yet."), job_id=str(job.pk))
