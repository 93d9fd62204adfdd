"""What a submission would cost, and whether it would be taken, without taking it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from . import model_files, pictures, refusals
from .admission import Submission, planned_job, queue_full
from .callbacks import outbox
from .completion import completed
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
    against = list(_against(submission))
    try:
        submission = replace(submission, request=completed(submission.source, submission.request))
    except Refused as refused:
        return Quote([*against, refused])
    if unknown := model_files.problems(submission.source, submission.request):
        return Quote([*against, *unknown])
    job = planned_job(submission, model_files.resolve_all(submission.source, submission.request))
    return Quote(against, job.cost_estimate, outlook(job))


def _against(submission: Submission) -> Iterator[Refused]:
    source, request = submission.source, submission.request
    yield from refusals.every(source, request)
    yield from pictures.problems(request, submission.pictures)
    if full := queue_full(source, source.max_queued_jobs):
        yield full
    if submission.callback:
        try:
            outbox.check(source, submission.dialect, submission.callback)
        except Refused as refused:
            yield refused
