"""Template context for a page that shows the progress of a job; ``static/console/watch_job.js`` polls it."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from jobs.models import Job
from jobs.scheduling.eta import progress_of


def watched_job(job: Job) -> dict[str, Any]:
    """Context of ``admin/watched_job.html``: state, progress in percent, error, and the URLs of page and outputs."""
    outputs = list(job.image_outputs.only("index", "content_type", "job_id")) if job.is_terminal else []
    urls = {output: reverse("admin:jobs_job_image", args=[job.pk, output.index]) for output in outputs}
    return {
        "state": job.state,
        "state_label": job.get_state_display(),
        "ended": job.is_terminal,
        "percent": round(100 * progress_of(job)),
        "error": job.error_message,
        "page": reverse("admin:jobs_job_change", args=[job.pk]),
        "watch": reverse("admin:jobs_job_live", args=[job.pk]),
        "images": [url for output, url in urls.items() if not output.needs_player],
        "videos": [url for output, url in urls.items() if output.needs_player],
    }
