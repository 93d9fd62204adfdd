"""Which trainings a user of the console sees: those of the sources that the user may see."""

from __future__ import annotations

import uuid

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest

from access.tenancy import visible_sources
from jobs.models import Training

VIEW_JOBS = "jobs.view_job"
VIEW_SOURCES = "access.view_businesssource"


def may_view(request: HttpRequest) -> bool:
    return request.user.has_perms((VIEW_JOBS, VIEW_SOURCES))


def visible_training(request: HttpRequest, training_id: uuid.UUID) -> Training:
    """Raises PermissionDenied, and Http404 for a training of a source that the user may not see, too."""
    if not may_view(request):
        raise PermissionDenied
    sources = visible_sources(request.user)
    found = Training.objects.select_related("job", "job__source", "job__checkpoint", "file")
    found = found.filter(pk=training_id)
    training = (found if sources is None else found.filter(job__source__in=sources)).first()
    if training is None:
        raise Http404
    return training
