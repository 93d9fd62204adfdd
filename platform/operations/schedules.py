"""Periodic tasks of operations, written into django-q2's Schedule table after every ``migrate``."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_noop
from django_q.models import Schedule


def create_schedules(**_: Any) -> None:
    Schedule.objects.update_or_create(
        name=gettext_noop("heartbeat and metrics"),
        defaults={"func": "operations.tasks.every_minute", "schedule_type": Schedule.MINUTES, "minutes": 1},
    )
