"""Admission: turns a submission into a durable job, or refuses it.

Input images are stored first; the job and its related rows are then inserted in one transaction.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError
from django.http import HttpRequest
from django.utils import timezone

from access.models import BusinessSource
from access.source_settings.prompt_modes import PromptMode
from gpu_runner import logs
from gpu_runner.protocol import GenerationRequest
from jobs.admission.submission import Submission
from jobs.billing import cost, workflow_cost
from jobs.images import storage
from jobs.models import Job, request_as_json
from jobs.outbound.callbacks import outbox
from models_registry.family_facts import family_facts

from . import idempotency as idempotency_keys
from . import insert, trainings, validation
from .defaults import completed, with_policy_of_source
from .idempotency import Idempotency
from .model_choice.family_limits import family_warnings
from .model_choice.resolution import ModelResolver, Resolution, resolve_all
from .prompts import rewriting as prompt_rewriting
from .prompts.language import rewriting_warnings, unknown_languages, warnings_of
from .workflows import routing as workflow_routing


def admit(submission: Submission) -> Job:
    """Admit a submission.

    Returns the new job, or the existing job with the same caller's id or Idempotency-Key. Raises Refused.
    """
    return admit_or_find(submission)[0]


def admit_or_find(submission: Submission) -> tuple[Job, bool]:
    """Like ``admit``; also returns whether the job is new."""
    known = _admitted_before(submission)
    if known is not None:
        return known, False
    submission = workflow_routing.routed(submission)
    models = ModelResolver(submission.source, submission.backend, submission.files, submission.workflow)
    validation.check(models, submission.key, submission.request)
    for refused in trainings.every(submission):
        raise refused
    if submission.callback:
        outbox.check(submission.source, submission.dialect, submission.callback)
    complete = completed if submission.files is None else with_policy_of_source
    submission = replace(submission, request=complete(models, submission.request))
    workflow_routing.check(submission)
    files = resolve_all(models, submission.request)
    for refused in validation.forbidden_models(submission.key, files):
        raise refused
    submission = _rewritten(models, submission, files)
    for refused in unknown_languages(submission.source, submission.backend, submission.request):
        raise refused
    submission = _noted(submission, files)
    if submission.training is not None:  # its many images should not be stored for nothing
        for refused in insert.limits_reached(planned_job(submission, files)):
            raise refused
    storage.store_inputs(submission.request, submission.input_files)
    try:
        job = insert.insert(planned_job(submission, files), submission)
        logs.job.set(str(job.pk))
        return job, True
    except IntegrityError:
        # A concurrent request with the same caller's id or Idempotency-Key was inserted first.
        known = _admitted_before(submission)
        if known is None:
            raise
        return known, False


def _rewritten(models: ModelResolver, submission: Submission, files: Resolution) -> Submission:
    """Have the text model translate or expand the prompts, if that is their mode, as the last check but the limits.

    The limits are checked before, too: a request above them should not cost a call. Raises Refused.
    """
    if prompt_rewriting.mode_of(submission) == PromptMode.AS_IS:
        return submission
    for refused in insert.limits_reached(planned_job(submission, files)):
        raise refused
    submission = prompt_rewriting.rewritten(submission, submission.request.embeddings)
    validation.check(models, submission.key, submission.request)
    return submission


def _noted(submission: Submission, files: Resolution) -> Submission:
    """Tell operators what the client is warned about, because not every dialect has a place for it."""
    left_out = [f"{file.name}: not used: {file.left_out}" for file in files.others.values() if file.left_out]
    warnings = [
        *rewriting_warnings(submission.rewriting),
        *warnings_of(submission.backend, submission.request),
        *family_warnings(files.checkpoint, submission.request),
    ]
    return replace(submission, note="; ".join(filter(None, [submission.note, *warnings, *left_out])))


@dataclass(frozen=True)
class Replay:
    """The Idempotency-Key of a request, and the job created by an earlier request with this key."""

    idempotency: Idempotency | None = None  # to be set in the submission of a new job
    job: Job | None = None


def find_replay(
    source: BusinessSource, dialect: str, request: HttpRequest, content: bytes | None = None
) -> Replay:
    """Look up the Idempotency-Key of a request. ``content``: what identifies the request, by default its raw body.

    Every dialect calls this after authentication and before it fetches an input image.
    Raises BadIdempotencyKey, and IdempotencyConflict if the key was used with another request.
    """
    idempotency = idempotency_keys.read(request, content)
    return Replay(idempotency, _replayed(source, dialect, idempotency))


def _replayed(source: BusinessSource, dialect: str, idempotency: Idempotency | None) -> Job | None:
    known = idempotency and idempotency_keys.job_of(source, dialect, idempotency)
    return Job.objects.get(pk=known) if known else None


def _admitted_before(submission: Submission) -> Job | None:
    known = _replayed(submission.source, submission.dialect, submission.idempotency)
    if known is not None or not submission.external_id or submission.id_may_repeat:
        return known
    named = Job.objects.filter(dialect=submission.dialect, external_id=submission.external_id)
    return named.filter(source=submission.source, id_may_repeat=False).first()


def understood(submission: Submission) -> GenerationRequest:
    """The request as a job of the submission would store it. Limits are not checked. Raises Refused."""
    submission = workflow_routing.routed(submission)
    models = ModelResolver(submission.source, submission.backend, submission.files, submission.workflow)
    submission = replace(submission, request=completed(models, submission.request))
    return planned_job(submission, resolve_all(models, submission.request)).generation_request


def planned_job(submission: Submission, files: Resolution) -> Job:
    """Build the Job of a submission. It is not saved."""
    checkpoint = files.checkpoint
    request = submission.request
    if checkpoint is not None and not files.is_from_template:
        request = request.model_copy(update={"checkpoint": checkpoint.name})
    now = timezone.now()
    multiplier = cost.multiplier_of(checkpoint.cost_multiplier, checkpoint.family) if checkpoint else 1.0
    if submission.workflow is not None:
        steps, cost_estimate = workflow_cost.planned(request, submission.workflow, multiplier)
    else:
        family = family_facts(checkpoint) if checkpoint else None
        steps, cost_estimate = cost.planned(request, multiplier, family)
    if request.training is not None:
        steps = request.training.steps  # as the trainer counts its progress
    return Job(
        source=submission.source,
        key=submission.key,
        dialect=submission.dialect,
        operation=submission.operation,
        external_id=submission.external_id,
        id_may_repeat=submission.id_may_repeat,
        end_user=submission.end_user,
        repeats=submission.repeats,
        has_callback=submission.callback is not None,
        backend=submission.backend,
        workflow=submission.workflow,
        storage_target=submission.storage_target,
        lane=submission.lane,
        received=submission.received,
        request=request_as_json(request),
        rewriting=submission.rewriting,
        checkpoint=checkpoint,
        checkpoint_sha256=checkpoint.sha256 if checkpoint else "",
        files=files.as_json(),
        steps=steps,
        cost_estimate=cost_estimate,
        created_at=now,
        expires_at=now + timedelta(seconds=settings.JOB_MAX_AGE_S),
    )
