"""What a submission would cost, and whether it would be taken, without taking it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from . import model_files, pictures, refusals, workflows
from .admission import Submission, planned_job, queue_full, with_choices
from .callbacks import outbox
from .errors import Refused
from .outlook import Outlook, outlook


@dataclass(frozen=True)
class Quote:
    refusals: list[Refused]
    cost: Decimal | None = None  # None: its models are not known
    outlook: Outlook | None = None

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
    job = planned_job(submission, model_files.resolve_all(*asked))
    return Quote(against, job.cost_estimate, outlook(job))


def _against(submission: Submission) -> Iterator[Refused]:
    source, request = submission.source, submission.request
    yield from refusals.every(source, request, submission.backend)
    yield from pictures.problems(request, submission.pictures)
    if full := queue_full(source, source.max_queued_jobs):
        yield full
    if submission.callback:
        try:
            outbox.check(source, submission.dialect, submission.callback)
        except Refused as refused:
            yield refused
