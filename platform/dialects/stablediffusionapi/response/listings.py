"""Lists of models and schedulers, and the load of the platform."""

from __future__ import annotations

import math
from typing import Any

from django.db.models import Count, Sum

from access.models import BusinessSource
from dialects.stablediffusionapi.authentication import DIALECT
from dialects.stablediffusionapi.request import schedulers
from jobs.models import Backend, Job, Runner, State
from jobs.models.usage import seconds_per_cost
from models_registry.models import Kind, ModelFile
from models_registry.selectors import list_for

# The API has one list for all kinds of models.
LISTED = (Kind.CHECKPOINT, Kind.LORA, Kind.EMBEDDING, Kind.VAE, Kind.CONTROLNET)


def model_rows(source: BusinessSource) -> list[dict[str, Any]]:
    """Rows of the models that a source may use."""
    return [
        _row(file) for kind in LISTED for file in list_for(kind, source, dialect=DIALECT).order_by("name")
    ]


def _row(file: ModelFile) -> dict[str, Any]:
    return {
        "model_id": file.name,
        "status": "model_ready",
        "created_at": None,
        "instance_prompt": file.trigger_words or None,
        "model_name": file.name,
        "description": f"{file.get_kind_display()}, {file.get_family_display()}",
        "screenshots": "",
    }


def scheduler_list(source: BusinessSource) -> dict[str, Any]:
    """Response with the supported schedulers."""
    return {"status": "success", "schedulers": schedulers.listed()}


def system_load(source: BusinessSource) -> dict[str, Any]:
    """Number of queued jobs of the whole platform, and the seconds that a new one would wait behind them."""
    waiting = Job.objects.filter(state=State.QUEUED).aggregate(count=Count("pk"), cost=Sum("cost_estimate"))
    drawing = Runner.objects.filter(enabled=True, draining=False).exclude(backend=Backend.TRAINING)
    runners = max(1, drawing.count())
    seconds = float(waiting["cost"] or 0) * seconds_per_cost() / runners
    return {"queue_num": waiting["count"], "queue_time": math.ceil(seconds), "status": "ok"}
