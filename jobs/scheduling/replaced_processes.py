"""When a cluster last replaced one of its processes that had died."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from jobs.models import Runner
from telemetry.models import Mark

BACKGROUND = "background process replaced"  # a Mark; that of a generation cluster is in its Runner


def record(*, is_generation: bool) -> None:
    """Record that this cluster has replaced a process."""
    now = timezone.now()
    if is_generation:
        Runner.objects.filter(name=settings.RUNNER_NAME).update(process_replaced_at=now)
    else:
        Mark.objects.update_or_create(name=BACKGROUND, defaults={"at": now})


def replaced_since(since: datetime) -> list[tuple[str | Promise, datetime]]:
    """Clusters that replaced a process since then, by runner, with the time of the last one."""
    generation = Runner.objects.filter(process_replaced_at__gte=since).order_by("name")
    background = Mark.objects.filter(name=BACKGROUND, at__gte=since)
    found: list[tuple[str | Promise, datetime]] = [
        (runner.name, runner.process_replaced_at) for runner in generation if runner.process_replaced_at
    ]
    return [*found, *((_("background tasks"), mark.at) for mark in background)]
