"""What there is to draw with, and how busy the platform is."""

from __future__ import annotations

import math
from typing import Any

from django.db.models import Count, Sum

from access.models import BusinessSource
from dialects.stablediffusionapi.request import schedulers
from jobs.models import Job, Runner, State
from jobs.models.usage import seconds_per_cost
from models_registry.models import Kind, ModelFile
from models_registry.selectors import list_for

# LoRAs and the rest have no list of their own.
LISTED = (Kind.CHECKPOINT, Kind.LORA, Kind.EMBEDDING, Kind.VAE, Kind.CONTROLNET)


def model_rows(source: BusinessSource) -> list[dict[str, Any]]:
    return [_row(file) for kind in LISTED for file in list_for(kind, source).order_by("name")]


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
    return {"status": "success", "schedulers": schedulers.listed()}


def system_load(source: BusinessSource) -> dict[str, Any]:
    """Of the whole platform: how many wait, and how many seconds a new request would wait behind them."""
    waiting = Job.objects.filter(state=State.QUEUED).aggregate(count=Count("pk"), cost=Sum("cost_estimate"))
    runners = max(1, Runner.objects.filter(enabled=True, draining=False).count())
    seconds = float(waiting["cost"] or 0) * seconds_per_cost() / runners
    return {"queue_num": waiting["count"], "queue_time": math.ceil(seconds), "status": "ok"}
