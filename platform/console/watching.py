"""A job as a page of the console follows it: asked again and again until it has ended."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse

from access.tenancy import visible_sources
from jobs.models import Job
from jobs.outlook import progress_of


def job_state(request: HttpRequest, job_id: uuid.UUID) -> JsonResponse:
    jobs = Job.objects.all() if request.user.has_perm("jobs.view_job") else Job.objects.none()
    sources = visible_sources(request.user)
    if sources is not None:
        jobs = jobs.filter(source__in=sources)
    return JsonResponse(told(get_object_or_404(jobs, pk=job_id)))


def told(job: Job) -> dict[str, Any]:
    indexes = list(job.pictures.values_list("index", flat=True)) if job.is_terminal else []
    return {
        "state": job.state,
        "state_label": job.get_state_display(),
        "ended": job.is_terminal,
        "progress": round(progress_of(job), 3),
        "error": job.error_message,
        "page": reverse("admin:jobs_job_change", args=[job.pk]),
        "watch": reverse("admin:jobs_job_watch_progress", args=[job.pk]),
        "pictures": [reverse("admin:jobs_job_picture", args=[job.pk, index]) for index in indexes],
    }
