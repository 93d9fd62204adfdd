"""Transactional outbox of callbacks: tasks are queued in the transaction that makes a callback due.

A task names an attempt. A late or duplicate task finds that attempt started and does nothing, so it is always
safe to queue another one.
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
BATCH = 500


@dataclass(frozen=True)
class CallbackRequest:
    """Callback URL and headers of a job. ``extra``: data from which the dialect's policy builds the body."""

    url: str
    extra: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    base_url: str = ""


def check(source: BusinessSource, dialect: str, request: CallbackRequest) -> None:
    """Validate a callback before the job is inserted. Raises Refused if its URL may not be called."""
    policy_for(dialect)
    try:
        check_target(request.url, Policy.of(source))
    except Refused as refused:
        refused.field = "callback"
        raise


def add(job_id: uuid.UUID, dialect: str, request: CallbackRequest) -> None:
    """Insert the callback of a job. Call it in the transaction that inserts the job."""
    Callback.objects.create(
        job_id=job_id,
        dialect=dialect,
        url=request.url,
        extra=request.extra,
        headers=request.headers,
        base_url=request.base_url,
    )


def add_for_intake(intake_id: uuid.UUID, dialect: str, request: CallbackRequest) -> None:
    """Insert the callback of a model to load. Call it in the transaction that inserts the intake."""
    Callback.objects.create(
        intake_id=intake_id,
        dialect=dialect,
        url=request.url,
        extra=request.extra,
        headers=request.headers,
        base_url=request.base_url,
    )


def job_ended(job_id: uuid.UUID) -> None:
    """Queue the callback of a job. Call it in the transaction that ends the job."""
    callback = Callback.objects.get(job_id=job_id)
    _send_at(callback, timezone.now(), CallbackState.WAITING)


def intake_ended(intake_id: uuid.UUID) -> None:
    """Queue the callback of a loaded model, if it has one. Call it in the transaction that ends the intake."""
    callback = Callback.objects.filter(intake_id=intake_id).first()
    if callback is not None:
        _send_at(callback, timezone.now(), CallbackState.WAITING)


@transaction.atomic
def retry(callback: Callback, at: datetime) -> None:
    """Queue the next attempt after a failed one."""
    _send_at(callback, at, CallbackState.SENDING)


@transaction.atomic
def postpone(callback: Callback, at: datetime) -> None:
    """Queue a pending attempt again, for later. It does not count as a try."""
    _send_at(callback, at, CallbackState.PENDING)


@transaction.atomic
def replay(callback: Callback) -> bool:
    """Queue a delivered or dead callback again, with all retries. Returns False in any other state."""
    return _send_at(callback, timezone.now(), CallbackState.DELIVERED, CallbackState.DEAD, tries=0)


@transaction.atomic
def sweep() -> int:
    """Requeue callbacks whose sender died or whose task was lost. Returns their number."""
    now = timezone.now()
    lost = Callback.objects.filter(state=CallbackState.SENDING, next_at__lt=now)
    late = Callback.objects.filter(state=CallbackState.PENDING, next_at__lt=now - OVERDUE)
    found = [*lost[:BATCH], *late[:BATCH]]
    return sum(_send_at(callback, now, CallbackState(callback.state)) for callback in found)


def _send_at(callback: Callback, at: datetime, *origins: CallbackState, **fields: Any) -> bool:
    current = Callback.objects.filter(pk=callback.pk, attempts=callback.attempts, state__in=origins)
    if not current.update(state=CallbackState.PENDING, next_at=at, **fields):
        return False
    task = package(
        uuid.uuid4(), "jobs.outbound.callbacks.sender_pool.start", str(callback.pk), callback.attempts
    )
    # The ORM broker of django-q2 returns tasks whose lock has expired, so a future lock schedules the task.
    OrmQ.objects.create(key=settings.Q_CLUSTER["name"], payload=task, lock=at)
    return True
