"""Response of a finished job."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from jobs.images.storage_targets.copy import urls
from jobs.models import Job, State

from .errors import Code, envelope


def outcome(job: Job, base: str) -> dict[str, Any]:
    """The envelope with the URLs of the outputs, or with the job's error. ``base`` is the URL of this site."""
    if job.state == State.SUCCEEDED:
        return envelope(result_urls(job, base))
    if job.state == State.FAILED:
        return envelope([], Code.GENERATION, job.error_message)
    if job.state == State.CANCELLED:
        return envelope([], Code.GENERATION, _("The job was cancelled."))
    return envelope([], Code.BUSY, _("The job did not finish in time."))


def result_urls(job: Job, base: str) -> list[str]:
    """URLs of the outputs, on the job's storage target if it has one."""
    config = job.received.get("upload_img_config") or {}
    return urls(job, base, by_host=bool(config.get("public_host")))
