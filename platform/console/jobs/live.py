"""Progress and preview of an unfinished job, polled by the job's page once a second."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse
from django.urls import reverse

from jobs.models import Job, Preview, State
from jobs.scheduling.eta import outlook, progress_of

from . import explanations


def progress(job: Job) -> dict[str, Any]:
    """State, progress in percent, explanatory text and the preview's URL, as JSON-serializable values."""
    shown_at = Preview.objects.filter(job=job).values_list("updated_at", flat=True).first()
    url = reverse("admin:jobs_job_preview", args=[job.pk])
    return {
        "state": job.state,
        "label": str(State(job.state).label),
        "ended": job.is_terminal,
        "percent": round(100 * progress_of(job), 1),
        "steps": explanations.steps(job),
        "waits": explanations.waiting_status(job, outlook(job)),
        "preview": f"{url}?{shown_at.timestamp()}" if shown_at else None,
    }


def preview(job: Job) -> HttpResponse:
    """The newest preview as JPEG. Raises Http404 if there is none."""
    newest = Preview.objects.filter(job=job).first()
    if newest is None:
        raise Http404
    return HttpResponse(bytes(newest.jpeg), content_type="image/jpeg", headers={"Cache-Control": "no-store"})
