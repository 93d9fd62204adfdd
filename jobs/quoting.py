"""What a submission would cost, and whether it would be taken, without taking it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from django.utils import timezone

from access import bookkeeping

from . import model_files, pictures, quotas, refusals, workflows
from .admission import Submission, planned_job, with_choices
from .callbacks import outbox
from .errors import Refused
from .insertion import Waiting, over_quota, queue_full
from .outlook import Outlook, outlook
from .quotas import Allowance


@dataclass(frozen=True)
class Quote:
    refusals: list[Refused]
    cost: Decimal | None = None  # None: its models are not known
    outlook: Outlook | None = None
    allowances: list[Allowance] = field(default_factory=list)  # as they are before the job

    @property
    def is_accepted(self) -> bool:
        return not self.refusals


def quote(submission: Submission) -> Quote:
    try:
        submission = workflows.routed(submission)
    except Refused as refused:
        return Quote([refused])
    against, allowed = list(_against(submission)), _allowances(submission)
    try:
        submission = with_choices(submission)
    except Refused as refused:
        return Quote([*against, refused], allowances=allowed)
    against += workflows.every(submission)
    asked = submission.source, submission.request, submission.backend
    if unknown := model_files.problems(*asked):
        return Quote([*against, *unknown], allowances=allowed)
    files = model_files.resolve_all(*asked)
    against += refusals.forbidden_models(submission.key, files)
    job = planned_job(submission, files)
    against += over_quota(job, allowed)
    return Quote(against, job.cost_estimate, outlook(job), allowed)


def _allowances(submission: Submission) -> list[Allowance]:
    source, key = submission.source, submission.key
    accounts = bookkeeping.read(source.pk, key.pk if key else None)
    return quotas.every_allowance(source, key, accounts, timezone.now())


def _against(submission: Submission) -> Iterator[Refused]:
    source, request = submission.source, submission.request
    yield from refusals.every(source, submission.key, request, submission.backend)
    yield from pictures.problems(request, submission.pictures)
    yield from queue_full(source, submission.key, Waiting())
    if submission.callback:
        try:
            outbox.check(source, submission.dialect, submission.callback)
        except Refused as refused:
            yield refused
