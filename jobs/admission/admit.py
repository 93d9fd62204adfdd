"""From a submission to a durable job, or to a reason why not. One transaction, after the pictures are stored."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError
from django.utils import timezone

from access.models import BusinessSource
from gpu_runner import logs
from jobs.admission.submission import Submission
from jobs.billing import cost
from jobs.images import storage as pictures
from jobs.models import Job, request_as_json
from jobs.outbound.callbacks import outbox
from statements import Statement, given

from . import idempotency as idempotency_keys
from . import insert, validation, workflow_routing
from .defaults import completed
from .idempotency import Idempotency
from .model_resolution import Resolution, resolve_all


def admit(submission: Submission) -> Job:
    """The new job, or the one that this caller's id already named. Raises Refused."""
    return admit_or_find(submission)[0]


def admit_or_find(submission: Submission) -> tuple[Job, bool]:
    """As ``admit``, and whether the job is new."""
    may_be_slow = bool(
        submission.pictures or submission.callback
    )  # a storage and a name server have their own pace
    with nullcontext() if may_be_slow else insert.on_the_way():
        return _admit_or_find(submission)


def _admit_or_find(submission: Submission) -> tuple[Job, bool]:
    known = _admitted_before(submission)
    if known is not None:
        return known, False
    submission = workflow_routing.routed(submission)
    validation.check(submission.source, submission.key, submission.request, submission.backend)
    if submission.callback:
        outbox.check(submission.source, submission.dialect, submission.callback)
    submission = with_choices(submission)
    workflow_routing.check(submission)
    files = resolve_all(submission.source, submission.request, submission.backend)
    for refused in validation.forbidden_models(submission.key, files):
        raise refused
    pictures.store_inputs(submission.request, submission.pictures)
    try:
        job = insert.insert(planned_job(submission, files), submission)
        logs.job.set(str(job.pk))
        return job, True
    except IntegrityError:
        # Two requests with one caller's id at the same time: the other one was first.
        known = _admitted_before(submission)
        if known is None:
            raise
        return known, False


def with_choices(submission: Submission) -> Submission:
    """With what its request leaves open. Raises Refused."""
    request = completed(submission.source, submission.request, submission.backend)
    return replace(submission, request=request)


def admitted_with(source: BusinessSource, dialect: str, idempotency: Idempotency | None) -> Job | None:
    """The job that the key has become. Raises IdempotencyConflict."""
    known = idempotency and idempotency_keys.job_of(source, dialect, idempotency)
    return Job.objects.get(pk=known) if known else None


def _admitted_before(submission: Submission) -> Job | None:
    known = admitted_with(submission.source, submission.dialect, submission.idempotency)
    if known is not None or not submission.external_id or submission.id_may_repeat:
        return known
    known_id = _BY_CALLERS_ID.first(
        source=submission.source.pk, dialect=submission.dialect, external_id=submission.external_id
    )
    return Job.objects.get(pk=known_id) if known_id else None


_BY_CALLERS_ID = Statement(
    lambda: (
        Job.objects.filter(
            source=given("source"),
            dialect=given("dialect"),
            external_id=given("external_id"),
            id_may_repeat=False,
        )
        .values_list("pk", flat=True)
        .order_by()
    )
)


def planned_job(submission: Submission, files: Resolution) -> Job:
    """Not saved."""
    checkpoint = files.checkpoint
    request = submission.request.model_copy(update={"checkpoint": checkpoint.name})
    now = timezone.now()
    steps, cost_estimate = cost.planned(request, checkpoint.cost_multiplier)
    return Job(
        source=submission.source,
        key=submission.key,
        dialect=submission.dialect,
        operation=submission.operation,
        external_id=submission.external_id,
        id_may_repeat=submission.id_may_repeat,
        repeats=submission.repeats,
        has_callback=submission.callback is not None,
        backend=submission.backend,
        workflow=submission.workflow,
        storage_target=submission.storage_target,
        lane=submission.lane,
        received=submission.received,
        request=request_as_json(request),
        checkpoint=checkpoint,
        checkpoint_sha256=checkpoint.sha256,
        files=files.as_json(),
        steps=steps,
        cost_estimate=cost_estimate,
        created_at=now,
        expires_at=now + timedelta(seconds=settings.JOB_MAX_AGE_S),
    )
