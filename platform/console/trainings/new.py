"""The form of a new training. The browser sends it to the native API with the rights of the session."""

from __future__ import annotations

import json
import uuid
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from console.portal.chosen_source import chosen_source, page_context
from console.tenants.roles import SUBMIT_JOBS
from jobs.admission.model_choice.trainable_bases import untrainable
from jobs.models import Training
from jobs.training.reuse import are_stored, images_of
from models_registry.models import Kind
from models_registry.selectors import list_for

from .visibility import visible_training

# Fields of the request by preset. The demo models are small, so that they learn with larger steps.
USUAL: dict[str, Any] = {"batch_size": 1, "resolution": ""}
PRESETS: dict[str, dict[str, Any]] = {
    "subject": {**USUAL, "steps": 800, "sample_every": 200, "rank": 16, "alpha": 16, "learning_rate": 0.0001},
    "style": {**USUAL, "steps": 1500, "sample_every": 300, "rank": 32, "alpha": 32, "learning_rate": 0.0001},
    "quick": {**USUAL, "steps": 200, "sample_every": 50, "rank": 8, "alpha": 8, "learning_rate": 0.0005},
}
DEMO = {
    "steps": 300,
    "rank": 8,
    "alpha": 8,
    "learning_rate": 0.004,
    "batch_size": 4,
    "resolution": 128,
    "sample_every": 50,
}
COPIED = (
    *("batch_size", "steps", "rank", "alpha", "learning_rate", "text_encoder_learning_rate"),
    *("class_prompt", "flip", "sample_every"),
)
# Settings that the form does not show. A training with changes keeps them.
HIDDEN = (
    *("schedule", "warmup_steps", "min_snr_gamma", "prior_weight", "gradient_checkpointing", "samples"),
    "tag_threshold",
)


def page(request: HttpRequest) -> HttpResponse:
    if not request.user.has_perm(SUBMIT_JOBS):
        raise PermissionDenied
    earlier = _earlier(request)
    source = chosen_source(request) if earlier is None else earlier.job.source
    context = page_context(request, _("New training"), source)
    if source is not None:
        checkpoints = list_for(Kind.CHECKPOINT, source).order_by("-is_default", "name")
        context["bases"] = [file.name for file in checkpoints if not any(untrainable(file))]
        context["has_tagger"] = list_for(Kind.TAGGER, source).exists()
    context |= {"presets": _presets(), "any_id": uuid.UUID(int=0), "earlier": earlier}
    context["values"] = _start() if earlier is None else _values(earlier)
    context["reusable"] = len(images_of(earlier)) if earlier is not None and are_stored(earlier) else 0
    return render(request, "admin/trainings/new.html", context)


def _earlier(request: HttpRequest) -> Training | None:
    """The training of ``?from=ID``, whose settings the form takes over. Raises Http404 for one the user may not see."""
    text = request.GET.get("from", "")
    if not text:
        return None
    try:
        return visible_training(request, uuid.UUID(text))
    except ValueError:
        raise Http404 from None


def _presets() -> dict[str, dict[str, Any]]:
    return {"demo": DEMO, **PRESETS} if settings.DEMO else PRESETS


def _start() -> dict[str, Any]:
    """What the form has in the beginning: the first preset."""
    name, values = next(iter(_presets().items()))
    return {**values, "preset": name, "trigger": "", "name": "", "text_encoder_learning_rate": 0}


def _values(training: Training) -> dict[str, Any]:
    request = training.job.generation_request
    trained = request.training
    assert trained is not None
    copied = {name: getattr(trained, name) for name in COPIED}
    hidden = {name: getattr(trained, name) for name in HIDDEN} | {"clip_skip": request.clip_skip}
    if trained.tagger:
        hidden["tagger"] = trained.tagger
    return copied | {
        "hidden": {name: json.dumps(value).strip('"') for name, value in hidden.items() if value is not None},
        "preset": "",
        "name": _next_name(training.name),
        "trigger": trained.trigger,
        "base": trained.base_name,
        "resolution": request.width,
        "seed": request.seed,
        "sample_prompt": request.prompt,
        "description": training.description,
        "keep_days": training.keep_days,
        "tags": bool(trained.tagger),
    }


def _next_name(name: str) -> str:
    """zorb -> zorb-2 -> zorb-3."""
    stem, separator, number = name.rpartition("-")
    if separator and number.isdecimal() and len(number) < 5:
        return f"{stem}-{int(number) + 1}"
    return f"{name[:90]}-2"
