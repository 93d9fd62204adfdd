"""Scheduling of trainings: when they may start, and what each source has had of the trainers."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Sum

from jobs.execution import training_hours
from jobs.models import ACTIVE, Backend, Job, State
from jobs.models.usage import FIRST_GUESS_S_PER_COST

from .policy import Reason

COUNTED = timedelta(days=1)  # trainings that ended longer ago have no influence on whose turn it is


def closed(now: datetime) -> Reason | None:
    """Why no training may start now."""
    if not training_hours.are_open(now):
        return Reason.OUTSIDE_HOURS
    if settings.TRAINING_IDLE_S is not None and _draws(now - timedelta(seconds=settings.TRAINING_IDLE_S)):
        return Reason.RUNNERS_DRAW
    return None


def served(now: datetime) -> tuple[dict[int, float], float]:
    """Device-seconds of trainings by source, and the device-seconds per cost unit of a training.

    Those that wait or run have the seconds of their earlier attempts.
    """
    trainings = Job.objects.filter(backend=Backend.TRAINING).order_by()
    ended = trainings.filter(finished_at__gte=now - COUNTED)
    begun = trainings.filter(state__in=ACTIVE, device_seconds__gt=0)
    rows = list(ended.values_list("source").annotate(Sum("device_seconds"), Sum("cost")))
    cost = sum(float(cost) for _source, _seconds, cost in rows)
    seconds = {source: float(seconds) for source, seconds, _cost in rows}
    rate = sum(seconds.values()) / cost if cost else FIRST_GUESS_S_PER_COST
    for source, spent in begun.values_list("source", "device_seconds"):
        seconds[source] = seconds.get(source, 0.0) + spent
    return seconds, rate


def _draws(since: datetime) -> bool:
    """Whether a job other than a training is running, or has ended since then."""
    others = Job.objects.exclude(backend=Backend.TRAINING)
    return others.filter(state=State.RUNNING).exists() or others.filter(finished_at__gte=since).exists()
