"""Counters in the database, for events that end in a process that Prometheus cannot scrape."""

from __future__ import annotations

import json

from django.db.models import F

from .models import Tally

MAX_LABEL_LENGTH = 64


def add(name: str, amount: float, **labels: str) -> None:
    """Part of the caller's transaction."""
    tally = Tally.objects.filter(name=name, labels=_serialized(labels))
    if not tally.update(value=F("value") + amount):
        Tally.objects.get_or_create(name=name, labels=_serialized(labels))
        tally.update(value=F("value") + amount)


def _serialized(labels: dict[str, str]) -> str:
    short = {name: str(value)[:MAX_LABEL_LENGTH] for name, value in labels.items()}
    return json.dumps(short, sort_keys=True, ensure_ascii=False)
