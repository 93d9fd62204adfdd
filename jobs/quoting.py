"""What a submission would cost, and whether it would be taken, without taking it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from access import bookkeeping

from . import model_files, pictures, quotas, refusals, workflows
from .admission import Submission, over_quota, planned_job, queue_full, with_choices
from .callbacks import outbox
from .errors import Refused
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
    against = list(_against(submission))
    try:
        submission = with_choices(submission)
    except Refused as refused:
        return Quote([*against, refused])
    against += workflows.every(submission)
    asked = submission.source, submission.request, submission.backend
    if unknown := model_files.problems(*asked):
        return Quote([*against, *unknown])
    files = model_files.resolve_all(*asked)
    against += refusals.forbidden_models(submission.key, files)
    job = planned_job(submission, files)
    accounts = bookkeeping.read(job.source_id, job.key_id)
    allowed = quotas.every_allowance(job.source, job.key, accounts, job.created_at)
    against += over_quota(job, allowed)
    return Quote(against, job.cost_estimate, outlook(job), allowed)


def _against(submission: Submission) -> Iterator[Refused]:
    source, request = submission.source, submission.request
    yield from refusals.every(source, submission.key, request, submission.backend)
    yield from pictures.problems(request, submission.pictures)
    yield from queue_full(source, submission.key)
    if submission.callback:
        try:
            outbox.check(source, submission.dialect, submission.callback)
        except Refused as refused:
            yield refused
