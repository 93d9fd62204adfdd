"""Putting callbacks on the background cluster's list, in the transaction that makes them due.

An entry of the list names an attempt. Entries that come too late, or twice, find that attempt begun and do nothing, so
it is always safe to add one.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ

from access.models import BusinessSource
from jobs.django_q import package
from jobs.errors import Refused
from jobs.models.callback import Callback, CallbackState
from jobs.outbound.connections import check_target
from jobs.outbound.policy import Policy

from .policies import policy_for

OVERDUE = timedelta(minutes=1)
AT_ONCE = 500


@dataclass(frozen=True)
class CallbackRequest:
    """Where to call when the job ends. ``extra`` is what the dialect's policy needs to write the body."""

    url: str
    extra: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    base_url: str = ""


def check(source: BusinessSource, dialect: str, wanted: CallbackRequest) -> None:
    """Raises Refused for a callback that could never be delivered."""
    policy_for(dialect)
    try:
        check_target(wanted.url, Policy.of(source))
    except Refused as refused:
        refused.field = "callback"
        raise


def add(job_id: uuid.UUID, dialect: str, wanted: CallbackRequest) -> None:
    """In the transaction that inserts the job."""
    Callback.objects.create(
        job_id=job_id,
        dialect=dialect,
        url=wanted.url,
        extra=wanted.extra,
        headers=wanted.headers,
        base_url=wanted.base_url,
    )


def job_ended(job_id: uuid.UUID) -> None:
    """In the transaction that ends the job."""
    callback = Callback.objects.get(job_id=job_id)
    _send_at(callback, timezone.now(), CallbackState.WAITING)


@transaction.atomic
def retry(callback: Callback, at: datetime) -> None:
    _send_at(callback, at, CallbackState.SENDING)


@transaction.atomic
def postpone(callback: Callback, at: datetime) -> None:
    """Without having tried."""
    _send_at(callback, at, CallbackState.PENDING)


@transaction.atomic
def replay(callback: Callback) -> bool:
    """Sends it again, whether or not it ever arrived, with all its tries; False while that is impossible."""
    return _send_at(callback, timezone.now(), CallbackState.DELIVERED, CallbackState.DEAD, tries=0)


@transaction.atomic
def sweep() -> int:
    """Callbacks whose sender died, and those whose entry in the list was lost."""
    now = timezone.now()
    lost = Callback.objects.filter(state=CallbackState.SENDING, next_at__lt=now)
    late = Callback.objects.filter(state=CallbackState.PENDING, next_at__lt=now - OVERDUE)
    found = [*lost[:AT_ONCE], *late[:AT_ONCE]]
    return sum(_send_at(callback, now, CallbackState(callback.state)) for callback in found)


def _send_at(callback: Callback, at: datetime, *origins: CallbackState, **fields: Any) -> bool:
    here = Callback.objects.filter(pk=callback.pk, attempts=callback.attempts, state__in=origins)
    if not here.update(state=CallbackState.PENDING, next_at=at, **fields):
        return False
    task = package(
        uuid.uuid4(), "jobs.outbound.callbacks.sender_pool.start", str(callback.pk), callback.attempts
    )
    # The stock broker gives out what is no longer locked: a lock that ends later is a task for later.
    OrmQ.objects.create(key=settings.Q_CLUSTER["name"], payload=task, lock=at)
    return True
