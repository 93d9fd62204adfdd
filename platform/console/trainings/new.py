"""The form of a new training. The browser sends it to the native API with the rights of the session."""

from __future__ import annotations

import uuid

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from console.portal.chosen_source import chosen_source, page_context
from console.roles import SUBMIT_JOBS
from jobs.admission.trainable_bases import untrainable
from models_registry.models import Kind
from models_registry.selectors import list_for

PRESETS = {
    "subject": {"steps": 800, "rank": 16, "alpha": 16, "learning_rate": 0.0001},
    "style": {"steps": 1500, "rank": 32, "alpha": 32, "learning_rate": 0.0001},
    "quick": {"steps": 200, "rank": 8, "alpha": 8, "learning_rate": 0.0005},
}


def page(request: HttpRequest) -> HttpResponse:
    if not request.user.has_perm(SUBMIT_JOBS):
        raise PermissionDenied
    source = chosen_source(request)
    context = page_context(request, _("New training"), source)
    if source is not None:
        checkpoints = list_for(Kind.CHECKPOINT, source).order_by("-is_default", "name")
        context["bases"] = [file.name for file in checkpoints if not any(untrainable(file))]
    context |= {"presets": PRESETS, "any_id": uuid.UUID(int=0)}
    return render(request, "admin/trainings/new.html", context)
