"""Stopping a job. What has ended stays as it is, so that a repeated call is no error."""

from __future__ import annotations

from django.utils.translation import gettext as _

from jobs.execution import lifecycle
from jobs.models import Job, Signal, State

from .errors import Problem

BY_CLIENT = "cancelled by its client"


def cancel(job: Job) -> None:
    lifecycle.cancel(job.pk, note=BY_CLIENT)


def interrupt(job: Job) -> None:
    """A running job keeps the pictures it has; one that waits has none to keep."""
    if not lifecycle.signal(job.pk, Signal.INTERRUPT):
        lifecycle.cancel(job.pk, note=BY_CLIENT)


def skip(job: Job) -> None:
    if not lifecycle.signal(job.pk, Signal.SKIP) and job.state == State.QUEUED:
        raise Problem(409, "not_running", _("The job does not run yet."), job_id=str(job.pk))
