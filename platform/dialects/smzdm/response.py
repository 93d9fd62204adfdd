"""From a job that has ended to the envelope."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from jobs.images.storage_targets.copy import urls
from jobs.models import Job, State

from .errors import Code, envelope


def outcome(job: Job, base: str) -> dict[str, Any]:
    """``base`` is a picture_urls.base_url()."""
    if job.state == State.SUCCEEDED:
        return envelope(pictures(job, base))
    if job.state == State.FAILED:
        return envelope([], Code.GENERATION, job.error_message)
    if job.state == State.CANCELLED:
        return envelope([], Code.GENERATION, _("The job was cancelled."))
    return envelope([], Code.BUSY, _("The job was not done in time."))


def pictures(job: Job, base: str) -> list[str]:
    config = job.received.get("upload_img_config") or {}
    return urls(job, base, by_host=bool(config.get("public_host")))
