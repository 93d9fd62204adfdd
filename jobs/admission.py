"""From a submission to a durable job, or to a reason why not. One transaction, after the pictures are stored."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from access.models import AccessKey, BusinessSource
from gpu_runner.protocol import MAX_SEED, GenerationRequest
from models_registry.models import ModelFile

from . import cost, ledger, pictures, refusals, wakeups
from .errors import QueueFull
from .models import Job, Lane, State, Transition, request_as_json

RETRY_WHEN_FULL_S = 10


@dataclass(frozen=True)
class Submission:
    """What a dialect hands over. ``pictures`` are the bytes behind the request's input pictures, by SHA-256."""

    source: BusinessSource
    key: AccessKey | None
    dialect: str
    operation: str
    request: GenerationRequest
    received: dict[str, Any] = field(default_factory=dict)
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    lane: Lane = Lane.ASYNC
    external_id: str = ""


def random_seed() -> int:
    return secrets.randbelow(MAX_SEED + 1)


def admit(submission: Submission) -> Job:
    """The new job, or the one that this caller's id already named. Raises Refused."""
    known = _admitted_before(submission)
    if known is not None:
        return known
    checkpoint = refusals.check(submission.source, submission.request)
    pictures.store_inputs(submission.request, submission.pictures)
    try:
        return _insert(submission, checkpoint)
    except IntegrityError:
        # Two requests with one caller's id at the same time: the other one was first.
        known = _admitted_before(submission)
        if known is None:
            raise
        return known


def _admitted_before(submission: Submission) -> Job | None:
    if not submission.external_id:
        return None
    same = {"source": submission.source, "dialect": submission.dialect, "external_id": submission.external_id}
    try:
        return Job.objects.get(**same)
    except Job.DoesNotExist:
        return None


@transaction.atomic
def _insert(submission: Submission, checkpoint: ModelFile) -> Job:
    _take_a_place_in_the_queue(submission.source)
    job = _job(submission, checkpoint)
    job.save(force_insert=True)
    Transition.objects.create(job=job, to_state=State.QUEUED)
    ledger.reserve(job)
    wakeups.ring(wakeups.WORK)
    return job


def _take_a_place_in_the_queue(source: BusinessSource) -> None:
    """Under a lock of the source's row, so that the length is not passed by two requests at once."""
    limit = (
        BusinessSource.objects.select_for_update(no_key=True)
        .only("max_queued_jobs")
        .get(pk=source.pk)
        .max_queued_jobs
    )
    if Job.objects.filter(source=source, state=State.QUEUED).count() >= limit:
        message = _("%(source)s already has %(limit)d jobs in the queue.") % {
            "source": source.name,
            "limit": limit,
        }
        raise QueueFull(message, retry_after=RETRY_WHEN_FULL_S)


def _job(submission: Submission, checkpoint: ModelFile) -> Job:
    request = submission.request.model_copy(update={"checkpoint": checkpoint.name})
    now = timezone.now()
    return Job(
        source=submission.source,
        key=submission.key,
        dialect=submission.dialect,
        operation=submission.operation,
        external_id=submission.external_id,
        lane=submission.lane,
        received=submission.received,
        request=request_as_json(request),
        checkpoint=checkpoint,
        checkpoint_sha256=checkpoint.sha256,
        steps=cost.planned_steps(request),
        cost_estimate=cost.estimate(request, checkpoint.cost_multiplier),
        created_at=now,
        expires_at=now + timedelta(seconds=settings.JOB_MAX_AGE_S),
    )
