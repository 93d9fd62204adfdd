"""Dry run of admission: cost, ETA and reasons for refusal of a submission. Nothing is stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal

from django.utils import timezone

from access import account_balances
from access.source_settings.prompt_modes import PromptMode
from jobs.billing import quotas
from jobs.billing.quotas import Allowance
from jobs.errors import Refused
from jobs.images import storage
from jobs.outbound.callbacks import outbox
from jobs.scheduling.eta import JobEta, outlook

from . import trainings
from . import validation as refusals
from .admit import planned_job
from .defaults import completed
from .insert import QueuedCounts, over_quota, queue_full
from .model_choice import resolution as model_resolution
from .model_choice.resolution import ModelResolver
from .prompts import rewriting as prompt_rewriting
from .prompts.language import unknown_languages
from .submission import Submission
from .workflows import routing as workflow_routing


@dataclass(frozen=True)
class Quote:
    """Result of ``quote``."""

    refusals: list[Refused]
    cost: Decimal | None = None  # None: the models could not be resolved
    outlook: JobEta | None = None
    allowances: list[Allowance] = field(default_factory=list)  # before the job is booked

    @property
    def is_accepted(self) -> bool:
        return not self.refusals


def quote(submission: Submission) -> Quote:
    """Check a submission and compute its cost without admitting it. Refusals are returned, not raised."""
    try:
        submission = workflow_routing.routed(submission)
    except Refused as refused:
        return Quote([refused])
    models = ModelResolver(submission.source, submission.backend, template=submission.workflow)
    against, allowed = list(_against(models, submission)), _allowances(submission)
    try:
        submission = replace(submission, request=completed(models, submission.request))
    except Refused as refused:
        return Quote([*against, refused], allowances=allowed)
    against += prompt_rewriting.refusals(submission)
    if prompt_rewriting.mode_of(submission) == PromptMode.AS_IS:
        against += unknown_languages(submission.source, submission.backend, submission.request)
    against += workflow_routing.every(submission)
    if unknown := model_resolution.problems(models, submission.request):
        return Quote([*against, *unknown], allowances=allowed)
    files = model_resolution.resolve_all(models, submission.request)
    against += refusals.forbidden_models(submission.key, files)
    job = planned_job(submission, files)
    against += [*over_quota(job, allowed), *trainings.StartedTrainings().over_quota(job)]
    return Quote(against, job.cost_estimate, outlook(job), allowed)


def _allowances(submission: Submission) -> list[Allowance]:
    source, key = submission.source, submission.key
    accounts = account_balances.read(source.pk, key.pk if key else None)
    return quotas.every_allowance(source, key, accounts, timezone.now())


def _against(models: ModelResolver, submission: Submission) -> Iterator[Refused]:
    source, request = submission.source, submission.request
    yield from refusals.every(models, submission.key, request)
    yield from trainings.every(submission)
    yield from storage.problems(request, submission.input_files)
    yield from queue_full(source, submission.key, QueuedCounts())
    if submission.callback:
        try:
            outbox.check(source, submission.dialect, submission.callback)
        except Refused as refused:
            yield refused
