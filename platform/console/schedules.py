"""What the background cluster does for the console. Written into django-q2's table after every migrate."""

from __future__ import annotations

from typing import Any

from django_q.models import Schedule


def create_schedules(**_: Any) -> None:
    Schedule.objects.update_or_create(
        name="figures of the dashboard",
        defaults={
            "func": "console.dashboard.hourly_figures.bring_up_to_date",
            "schedule_type": Schedule.MINUTES,
            "minutes": 1,
        },
    )
    Schedule.objects.update_or_create(
        name="old entries of the audit trail",
        defaults={"func": "console.audit.middleware.forget_old", "schedule_type": Schedule.DAILY},
    )
