"""django-q2 task packages and schedules."""

from __future__ import annotations

import uuid
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_noop
from django_q.models import Schedule
from django_q.signing import SignedPackage


def package(task_id: uuid.UUID, func: str, *args: Any, timeout_s: int | None = None) -> str:
    """Return a signed task package, as django_q.tasks.async_task would enqueue it.

    ``timeout_s``: time limit of the task; None: that of its cluster.
    """
    return SignedPackage.dumps(
        {
            **({} if timeout_s is None else {"timeout": timeout_s}),
            "id": task_id.hex,
            "name": str(task_id),
            "func": func,
            "args": args,
            "kwargs": {},
            "started": timezone.now(),
            "save": False,
            "ack_failure": True,
        }
    )


def create_schedules(**_: Any) -> None:
    """Create or update the schedules of periodic tasks (post_migrate handler)."""
    Schedule.objects.update_or_create(
        name=gettext_noop("sweep of leases and expired jobs"),
        defaults={"func": "jobs.tasks.sweep", "schedule_type": Schedule.MINUTES, "minutes": 1},
    )
    Schedule.objects.update_or_create(
        name=gettext_noop("sweep of callbacks"),
        defaults={
            "func": "jobs.outbound.callbacks.outbox.sweep",
            "schedule_type": Schedule.MINUTES,
            "minutes": 1,
        },
    )
    Schedule.objects.update_or_create(
        name=gettext_noop("sweep of models from URLs"),
        defaults={
            "func": "jobs.model_intake.worker.sweep",
            "schedule_type": Schedule.MINUTES,
            "minutes": 1,
        },
    )
    Schedule.objects.update_or_create(
        name=gettext_noop("retention and archive"),
        defaults={"func": "jobs.retention.cleanup.tidy", "schedule_type": Schedule.HOURLY},
    )
