"""Template context for a page that shows the progress of a job; ``static/console/watch_job.js`` polls it."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from jobs.models import Job
from jobs.scheduling.eta import progress_of


def watched_job(job: Job) -> dict[str, Any]:
    """Context of ``admin/watched_job.html``: state, progress in percent, error, and the URLs of page and images."""
    indexes = list(job.image_outputs.values_list("index", flat=True)) if job.is_terminal else []
    return {
        "state": job.state,
        "state_label": job.get_state_display(),
        "ended": job.is_terminal,
        "percent": round(100 * progress_of(job)),
        "error": job.error_message,
        "page": reverse("admin:jobs_job_change", args=[job.pk]),
        "watch": reverse("admin:jobs_job_live", args=[job.pk]),
        "images": [reverse("admin:jobs_job_image", args=[job.pk, index]) for index in indexes],
    }
