"""Trainings of a source: the list, and the page of one with its loss, its samples and its result."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from console.jobs.explanations import waiting_status
from console.portal.chosen_source import chosen_source, page_context
from console.tenants.roles import SUBMIT_JOBS, VIEW_COSTS, VIEW_IMAGES
from jobs.execution import lifecycle
from jobs.models import OutputKind, Preview, Signal, State, Training
from jobs.scheduling.eta import outlook
from jobs.training.file_downloads import download_note, may_download, response_of
from jobs.training.selectors import is_available, trainings_of

from .loss_chart import LossChart, chart_of
from .visibility import may_view, visible_training

CHANGE_JOBS = "jobs.change_job"
NEWEST = 100


@dataclass(frozen=True)
class Shown:
    """A training on a page. ``model_name``: empty if there is no LoRA that the source can use."""

    training: Training
    steps: int
    step: int
    percent: int
    chart: LossChart | None
    model_name: str

    @property
    def is_running(self) -> bool:
        return bool(self.training.job.state == State.RUNNING)


def page(request: HttpRequest) -> HttpResponse:
    if not may_view(request):
        raise PermissionDenied
    source = chosen_source(request)
    context = page_context(request, _("Trainings"), source)
    if source is not None:
        context["trainings"] = [shown(training) for training in trainings_of(source)[:NEWEST]]
    context["may_see_costs"] = request.user.has_perm(VIEW_COSTS)
    context["may_submit"] = request.user.has_perm(SUBMIT_JOBS)
    return render(request, "admin/trainings/list.html", context)


def one(request: HttpRequest, training_id: uuid.UUID) -> HttpResponse:
    training = visible_training(request, training_id)
    title = _("Training %(name)s") % {"name": training.name}
    context = page_context(request, title, training.job.source) | _context(request, training)
    return render(request, "admin/trainings/training.html", context)


def live(request: HttpRequest, training_id: uuid.UUID) -> HttpResponse:
    """The part of the page that changes while the training runs."""
    return render(
        request, "admin/trainings/live.html", _context(request, visible_training(request, training_id))
    )


@require_POST
def act(request: HttpRequest, training_id: uuid.UUID, what: str) -> HttpResponse:
    """Cancel a training, or finish it now with what was trained."""
    training = visible_training(request, training_id)
    if not request.user.has_perm(CHANGE_JOBS):
        raise PermissionDenied
    job = training.job
    if job.is_terminal:
        messages.warning(request, _("The training has already ended."))
    elif what == "finish" and lifecycle.signal(job.pk, Signal.INTERRUPT):
        _log(request, training, "finished early")
        text = _("The training ends now, and keeps what was trained.")
        if training.is_paused:
            text = _(
                "The training will not go on: its file is made from what was trained when trainings run again."
            )
        messages.success(request, text)
    else:
        lifecycle.cancel(job.pk, note=f"console: {request.user.get_username()}")
        _log(request, training, "cancelled")
        messages.success(request, _("The training was cancelled, or its trainer will stop it shortly."))
    return HttpResponseRedirect(reverse("console:training", args=[job.pk]))


@require_safe
def file(request: HttpRequest, training_id: uuid.UUID) -> HttpResponseBase:
    """The file of the LoRA."""
    training = visible_training(request, training_id)
    if not request.user.has_perm(SUBMIT_JOBS):
        raise PermissionDenied
    return response_of(request, training)


@require_safe
def preview(request: HttpRequest, training_id: uuid.UUID) -> HttpResponse:
    """The newest samples of a running training."""
    training = visible_training(request, training_id)
    if not request.user.has_perms(VIEW_IMAGES):
        raise PermissionDenied
    newest = get_object_or_404(Preview, job=training.pk)
    return HttpResponse(bytes(newest.jpeg), content_type="image/jpeg", headers={"Cache-Control": "no-store"})


def shown(training: Training) -> Shown:
    job, settings = training.job, training.job.generation_request.training
    steps = settings.steps if settings else 0
    step = steps if job.state == State.SUCCEEDED and not job.interrupted else min(job.step, steps)
    return Shown(
        training=training,
        steps=steps,
        step=step,
        percent=100 * step // max(steps, 1),
        chart=chart_of(training.losses, steps),
        model_name=training.file.name if training.file and is_available(training) else "",
    )


def _context(request: HttpRequest, training: Training) -> dict[str, Any]:
    job = training.job
    sees_images = request.user.has_perms(VIEW_IMAGES)
    images = job.outputs.filter(kind=OutputKind.IMAGE).order_by("index") if sees_images else []
    return {
        "shown": shown(training),
        "training": training,
        "job": job,
        "settings": job.generation_request.training,
        "samples": list(images),
        "has_preview": sees_images and Preview.objects.filter(job=job).exists(),
        "may_download": request.user.has_perm(SUBMIT_JOBS) and may_download(training),
        "download_note": download_note(training),
        "may_change": request.user.has_perm(CHANGE_JOBS),
        "may_submit": request.user.has_perm(SUBMIT_JOBS),
        "drawing": _drawing(training),
        "waiting": waiting_status(job, outlook(job)) if job.state == State.QUEUED else "",
        "may_see_costs": request.user.has_perm(VIEW_COSTS),
        "may_see_model": training.file is not None
        and request.user.has_perm("models_registry.view_modelfile"),
    }


def _drawing(training: Training) -> str:
    """Query of the playground that draws with the LoRA."""
    request, file = training.job.generation_request, training.file
    prompt = request.training.captions()[0] if request.training else ""
    values = {
        "source": training.job.source.name,
        "prompt": prompt,
        "lora": file.name if file else training.name,
        "width": request.width,
        "height": request.height,
    }
    return urlencode(values)


def _log(request: HttpRequest, training: Training, what: str) -> None:
    assert request.user.pk is not None
    LogEntry.objects.log_actions(
        request.user.pk, [training.job], CHANGE, f"training {what}", single_object=True
    )
