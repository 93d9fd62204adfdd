"""Delivery of one callback attempt. No transaction is open during the HTTP call."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from gpu_runner import logs
from jobs.errors import Refused
from jobs.models.callback import Callback, CallbackAttempt, CallbackState
from jobs.outbound.http import HTTPResult, post
from jobs.outbound.policy import Policy

from . import outbox
from .policies import CallbackPolicy, policy_for
from .signing import headers

log = logging.getLogger(__name__)

EXCERPT = 300  # characters of a response that are kept
LEASE_SLACK_S = 60.0  # for name resolution and database writes


@dataclass(frozen=True)
class DeliveryResult:
    status: int | None
    excerpt: str
    acknowledged: bool


def deliver(callback_id: str, attempt: int) -> None:
    """Send a callback. ``attempt``: number of earlier attempts; if it is outdated, nothing is sent."""
    callback = Callback.objects.select_related("job__source", "intake__source").filter(pk=callback_id).first()
    if callback is None:  # its job was deleted
        return
    policy = policy_for(callback.dialect)
    if not _begin(callback, attempt, policy.timeout_s + LEASE_SLACK_S):
        return
    callback.refresh_from_db(fields=["attempts", "tries"])
    with logs.about(callback.job_id or callback.intake_id):
        _finish(callback, policy, _send(callback, policy))


def _begin(callback: Callback, attempt: int, lease_s: float) -> bool:
    due = Callback.objects.filter(pk=callback.pk, state=CallbackState.PENDING, attempts=attempt)
    return bool(
        due.update(
            state=CallbackState.SENDING,
            attempts=F("attempts") + 1,
            tries=F("tries") + 1,
            next_at=timezone.now() + timedelta(seconds=lease_s),
        )
    )


def _send(callback: Callback, policy: CallbackPolicy) -> DeliveryResult:
    try:
        body = _body(callback, policy).encode()
        limits = replace(Policy.of(callback.subject.source), total_s=policy.timeout_s)
        response = post(callback.url, body, headers(callback, body), limits)
        return DeliveryResult(response.status, _excerpt(response), policy.acknowledged(response))
    except Refused as refused:
        return DeliveryResult(None, refused.message[:EXCERPT], False)
    except Exception:
        log.exception("callback %s could not be sent", callback.pk)
        return DeliveryResult(None, "internal error", False)


def _body(callback: Callback, policy: CallbackPolicy) -> str:
    if not callback.body:
        callback.body = json.dumps(policy.content(callback), ensure_ascii=False)
        callback.save(update_fields=["body"])
    return callback.body


def _excerpt(response: HTTPResult) -> str:
    return response.body.decode(errors="replace").replace("\0", "\ufffd")[:EXCERPT]


@transaction.atomic
def _finish(callback: Callback, policy: CallbackPolicy, result: DeliveryResult) -> None:
    now = timezone.now()
    CallbackAttempt.objects.create(
        callback=callback,
        number=callback.attempts,
        at=now,
        status=result.status,
        excerpt=result.excerpt,
        acknowledged=result.acknowledged,
    )
    Callback.objects.filter(pk=callback.pk).update(last_status=result.status, last_excerpt=result.excerpt)
    wait = None if result.acknowledged else policy.wait_after(callback.tries)
    if wait is not None:
        outbox.retry(callback, now + timedelta(seconds=wait))
    else:
        _close(callback, delivered=result.acknowledged)


def _close(callback: Callback, *, delivered: bool) -> None:
    state = CallbackState.DELIVERED if delivered else CallbackState.DEAD
    current = Callback.objects.filter(pk=callback.pk, state=CallbackState.SENDING, attempts=callback.attempts)
    current.update(state=state, next_at=None, delivered_at=timezone.now() if delivered else None)
