"""What django-q2 calls."""

from __future__ import annotations

import logging
from typing import Any

from django.db import DatabaseError
from django.utils import timezone
from django_q.conf import Conf

from jobs.scheduling.broker import GENERATION
from telemetry.models import Mark

from .counting import count_what_ended

HEARTBEAT = "background"

log = logging.getLogger(__name__)


def every_minute() -> int:
    """A background cluster is alive as long as this runs."""
    _show_life()
    return count_what_ended()


def on_spawn(**_: Any) -> None:
    """A worker begins. The platform need not wait for the minute to be over to be ready."""
    if Conf.CLUSTER_NAME == GENERATION:
        return
    try:
        _show_life()
    except DatabaseError:
        log.warning("a background worker begins, and the database does not answer", exc_info=True)


def _show_life() -> None:
    Mark.objects.update_or_create(name=HEARTBEAT, defaults={"at": timezone.now()})
