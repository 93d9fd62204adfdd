"""What the background cluster does by the clock. Written into django-q2's table after every migrate."""

from __future__ import annotations

from typing import Any

from django_q.models import Schedule


def create_schedules(**_: Any) -> None:
    Schedule.objects.update_or_create(
        name="sweep of leases and expired jobs",
        defaults={"func": "jobs.tasks.sweep", "schedule_type": Schedule.MINUTES, "minutes": 1},
    )
    Schedule.objects.update_or_create(
        name="sweep of callbacks",
        defaults={
            "func": "jobs.outbound.callbacks.outbox.sweep",
            "schedule_type": Schedule.MINUTES,
            "minutes": 1,
        },
    )
    Schedule.objects.update_or_create(
        name="retention and archive",
        defaults={"func": "jobs.retention.cleanup.tidy", "schedule_type": Schedule.HOURLY},
    )
