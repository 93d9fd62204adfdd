"""Scheduling of trainings: when they may start, and what each source has had of the trainers."""

from __future__ import annotations

from datetime import datetime, time, timedelta

from django.conf import settings
from django.db.models import Sum
from django.utils import timezone

from jobs.models import Backend, Job, State
from jobs.models.usage import FIRST_GUESS_S_PER_COST

from .policy import Reason

COUNTED = timedelta(days=1)  # trainings that ended longer ago have no influence on whose turn it is


def closed(now: datetime) -> Reason | None:
    """Why no training may start now."""
    hours = settings.TRAINING_HOURS
    if hours is not None and not is_within(hours, timezone.localtime(now).time()):
        return Reason.OUTSIDE_HOURS
    if settings.TRAINING_IDLE_S is not None and _draws(now - timedelta(seconds=settings.TRAINING_IDLE_S)):
        return Reason.RUNNERS_DRAW
    return None


def is_within(hours: tuple[time, time], at: time) -> bool:
    """Whether a time is within the hours, which may go past midnight. Equal ends are the whole day."""
    begin, end = hours
    return begin <= at < end if begin < end else at >= begin or at < end


def served(now: datetime) -> tuple[dict[int, float], float]:
    """Device-seconds of trainings by source, and the device-seconds per cost unit of a training."""
    ended = Job.objects.filter(backend=Backend.TRAINING, finished_at__gte=now - COUNTED).order_by()
    rows = list(ended.values_list("source").annotate(Sum("device_seconds"), Sum("cost")))
    cost = sum(float(cost) for _source, _seconds, cost in rows)
    seconds = {source: float(seconds) for source, seconds, _cost in rows}
    return seconds, sum(seconds.values()) / cost if cost else FIRST_GUESS_S_PER_COST


def _draws(since: datetime) -> bool:
    """Whether a job other than a training is running, or has ended since then."""
    others = Job.objects.exclude(backend=Backend.TRAINING)
    return others.filter(state=State.RUNNING).exists() or others.filter(finished_at__gte=since).exists()
