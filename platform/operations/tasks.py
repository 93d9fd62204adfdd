"""Background tasks and signal receivers of django-q2: heartbeat and metrics."""

from __future__ import annotations

import logging
from typing import Any

from django.db import DatabaseError
from django.utils import timezone
from django_q.conf import Conf

from jobs.scheduling.broker import GENERATION
from telemetry.models import Mark

from .counting import count_ended_rows

HEARTBEAT = "background"

log = logging.getLogger(__name__)


def every_minute() -> int:
    """Write the heartbeat of the background cluster and update the job metrics."""
    _write_heartbeat()
    return count_ended_rows()


def on_worker_start(**_: Any) -> None:
    """Write a heartbeat when a worker starts, so that the platform is ready before the first minute is over."""
    if Conf.CLUSTER_NAME == GENERATION:
        return
    try:
        _write_heartbeat()
    except DatabaseError:
        log.warning("background worker started, but the database is not reachable", exc_info=True)


def _write_heartbeat() -> None:
    Mark.objects.update_or_create(name=HEARTBEAT, defaults={"at": timezone.now()})
