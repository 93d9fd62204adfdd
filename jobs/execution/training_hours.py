"""The hours in which trainings run (TRAINING_HOURS)."""

from __future__ import annotations

from datetime import datetime, time

from django.conf import settings
from django.utils import timezone


def are_open(now: datetime) -> bool:
    """Whether trainings may run at this time."""
    hours = settings.TRAINING_HOURS
    return hours is None or is_within(hours, timezone.localtime(now).time())


def is_within(hours: tuple[time, time], at: time) -> bool:
    """Whether a time is within the hours, which may go past midnight. Equal ends are the whole day."""
    begin, end = hours
    return begin <= at < end if begin < end else at >= begin or at < end
