"""Periodic tasks of the console, written into django-q2's Schedule table after every ``migrate``."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_noop
from django_q.models import Schedule


def create_schedules(**_: Any) -> None:
    Schedule.objects.update_or_create(
        name=gettext_noop("figures of the dashboard"),
        defaults={
            "func": "console.dashboard.hourly_figures.update_hourly_figures",
            "schedule_type": Schedule.MINUTES,
            "minutes": 1,
        },
    )
    Schedule.objects.update_or_create(
        name=gettext_noop("old entries of the audit trail"),
        defaults={"func": "console.audit.middleware.delete_old_entries", "schedule_type": Schedule.DAILY},
    )
