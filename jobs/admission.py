"""From a submission to a durable job, or to a reason why not. One transaction, after the pictures are stored."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError
from django.http import HttpRequest
from django.utils import timezone

from access.models import AccessKey, BusinessSource
from gpu_runner import logs
from gpu_runner.protocol import MAX_SEED, GenerationRequest
from models_registry.models import WorkflowTemplate

from . import cost, insertion, pictures, refusals, workflows
from . import idempotency as idempotency_keys
from .callbacks import outbox
from .callbacks.outbox import CallbackRequest
from .completion import completed
from .idempotency import Idempotency
from .model_files import ModelResolver, Resolution, resolve_all
from .models import Backend, Job, Lane, request_as_json
from .storage_targets.models import StorageTarget

PREVIEWS_FOR_OPS = (
    10  # steps between two, where a dialect's clients are shown none: ops watch jobs in the console
)


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
    id_may_repeat: bool = False  # the caller's id names the newest of its jobs, not the one and only
    idempotency: Idempotency | None = None
    callback: CallbackRequest | None = None
    backend: Backend = Backend.PIPELINE
    workflow: WorkflowTemplate | None = None  # chosen at admission
    styles: tuple[str, ...] = ()  # a req_key, or styles that the request names: ops may map them to workflows
    storage_target: StorageTarget | None = None
    repeats: Job | None = None  # the job that it is to be drawn again for
    note: str = ""  # what ops should know of how the request was read; the first line of the job's timeline


def random_seed() -> int:
    return secrets.randbelow(MAX_SEED + 1)


def admit(submission: Submission) -> Job:
    """The new job, or the one that this caller's id already named. Raises Refused."""
    return admit_or_find(submission)[0]


def admit_or_find(submission: Submission) -> tuple[Job, bool]:
    """As ``admit``, and whether the job is new."""
    known = _admitted_before(submission)
    if known is not None:
        return known, False
    submission = workflows.routed(submission)
    models = ModelResolver(submission.source, submission.backend)
    refusals.check(models, submission.key, submission.request)
    if submission.callback:
        outbox.check(submission.source, submission.dialect, submission.callback)
    submission = replace(submission, request=completed(models, submission.request))
    workflows.check(submission)
    files = resolve_all(models, submission.request)
    for refused in refusals.forbidden_models(submission.key, files):
        raise refused
    pictures.store_inputs(submission.request, submission.pictures)
    try:
        job = insertion.insert(planned_job(submission, files), submission)
        logs.job.set(str(job.pk))
        return job, True
    except IntegrityError:
        # Two requests with one caller's id at the same time: the other one was first.
        known = _admitted_before(submission)
        if known is None:
            raise
        return known, False


@dataclass(frozen=True)
class Replay:
    """The Idempotency-Key of a request, and the jobs that an earlier request with this key became."""

    idempotency: Idempotency | None = None  # belongs into the submission of a new job
    jobs: tuple[Job, ...] = ()

    @property
    def job(self) -> Job | None:
        return self.jobs[0] if self.jobs else None


def find_replay(source: BusinessSource, dialect: str, request: HttpRequest, *, parts: int = 1) -> Replay:
    """Look up the Idempotency-Key of a request.

    Every dialect calls this after authentication and before it fetches an input image. ``parts`` is the number of
    jobs that one request becomes; either all of them are found, or none.

    Raises BadIdempotencyKey, and IdempotencyConflict if the key was used with another request.
    """
    idempotency = idempotency_keys.read(request)
    if idempotency is None:
        return Replay()
    found = [_replayed(source, dialect, idempotency.of_part(index)) for index in range(parts)]
    jobs = tuple(job for job in found if job is not None)
    return Replay(idempotency, jobs if len(jobs) == parts else ())


def _replayed(source: BusinessSource, dialect: str, idempotency: Idempotency | None) -> Job | None:
    known = idempotency and idempotency_keys.job_of(source, dialect, idempotency)
    return Job.objects.get(pk=known) if known else None


def _admitted_before(submission: Submission) -> Job | None:
    known = _replayed(submission.source, submission.dialect, submission.idempotency)
    if known is not None or not submission.external_id or submission.id_may_repeat:
        return known
    named = Job.objects.filter(dialect=submission.dialect, external_id=submission.external_id)
    return named.filter(source=submission.source, id_may_repeat=False).first()


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
