"""Inserts planned jobs with their reservations, callbacks and idempotency keys.

Jobs of concurrent requests are inserted in one transaction (group commit).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from access import account_balances
from access.accounts import Account
from access.models import AccessKey, BusinessSource
from jobs.billing import ledger, quotas
from jobs.billing.quotas import Allowance
from jobs.errors import QueueFull, Refused
from jobs.execution import notifications, slots
from jobs.images import input_usage
from jobs.models import Job, State, Transition
from jobs.outbound.callbacks import outbox

from . import idempotency
from .group_commit import GroupCommit
from .submission import Submission
from .trainings import StartedTrainings

RETRY_WHEN_FULL_S = 10


@dataclass(frozen=True)
class Planned:
    """A job to insert, with its submission."""

    job: Job  # not saved
    submission: Submission
    language: str  # language of the error message if the job is refused


def insert(job: Job, submission: Submission) -> Job:
    """Insert a job, in one transaction with jobs of concurrent requests.

    Raises Refused if a limit is reached, IntegrityError if another job has the same caller's id.
    """
    return _TOGETHER.submit(Planned(job, submission, translation.get_language()))


def insert_all(planned: Sequence[Planned]) -> list[Job | Refused]:
    """Insert the jobs in one transaction. Returns each job, or the Refused exception of a refused job."""
    with transaction.atomic():
        # The locks on the accounts prevent two requests from both using the remainder of a limit.
        accounts = account_balances.lock({(one.job.source_id, one.job.key_id) for one in planned})
        outcomes = _with_room(planned, accounts)
        if taken := [one for one, outcome in zip(planned, outcomes, strict=True) if outcome is one.job]:
            _insert_rows(taken, accounts)
    return outcomes


def _insert_rows(planned: Sequence[Planned], accounts: dict[str, Account]) -> None:
    jobs = [one.job for one in planned]
    Job.objects.bulk_create(jobs)
    Transition.objects.bulk_create(_first_transition(one) for one in planned)
    ledger.reserve(jobs, accounts)
    for one in planned:
        _promise(one.submission, one.job)
    notifications.notify({notifications.WORK: ""})


_TOGETHER: GroupCommit[Planned, Job] = GroupCommit(insert_all)


def _first_transition(planned: Planned) -> Transition:
    job, note = planned.job, planned.submission.note[:300]
    ignored = list(planned.submission.ignored_fields) or None
    return Transition(job=job, to_state=State.QUEUED, note=note, ignored_fields=ignored, at=job.created_at)


def _promise(submission: Submission, job: Job) -> None:
    """Insert the rows that belong to the job: input usage, callback, idempotency key."""
    needed = submission.request.input_hashes()
    if submission.training:
        submission.training.job = job
        submission.training.save(force_insert=True)
    if submission.reproduction:
        submission.reproduction.job = job
        submission.reproduction.save(force_insert=True)
        needed |= {submission.reproduction.original_sent} - {""}
    if needed:
        input_usage.remember(job, needed)
    if submission.callback:
        outbox.add(job.pk, submission.dialect, submission.callback)
    if submission.idempotency:
        idempotency.remember(submission.source, submission.dialect, submission.idempotency, job.pk)


def _with_room(planned: Sequence[Planned], accounts: dict[str, Account]) -> list[Job | Refused]:
    """Check the limits of each job, counting the jobs before it.

    Admitted jobs are booked on the accounts in memory.
    """
    waiting, started = QueuedCounts(), StartedTrainings()
    outcomes: list[Job | Refused] = []
    for one in planned:
        with translation.override(one.language):
            refused = next(chain(_no_room(one.job, accounts, waiting), started.over_quota(one.job)), None)
        if refused is None:
            waiting.add(one.job.source_id, one.job.key_id)
            started.add(one.job)
            ledger.book(one.job, accounts, one.job.cost_estimate, one.job.request["num_images"])
        outcomes.append(refused or one.job)
    return outcomes


def _no_room(job: Job, accounts: dict[str, Account], waiting: QueuedCounts) -> Iterator[Refused]:
    allowed = quotas.every_allowance(job.source, job.key, accounts, job.created_at)
    return chain(queue_full(job.source, job.key, waiting), over_quota(job, allowed))


def limits_reached(job: Job) -> Iterator[Refused]:
    """Yield a refusal for each limit that a planned job exceeds now. Takes no lock: ``insert`` checks them again."""
    yield from queue_full(job.source, job.key, QueuedCounts())
    accounts = account_balances.read(job.source.pk, job.key.pk if job.key else None)
    yield from over_quota(job, quotas.every_allowance(job.source, job.key, accounts, job.created_at))
    yield from StartedTrainings().over_quota(job)


class QueuedCounts:
    """Numbers of queued jobs: read once per transaction, then incremented in memory."""

    def __init__(self) -> None:
        self._read: dict[tuple[int, int | None], int] = {}
        self._added: Counter[tuple[int, int | None]] = Counter()

    def of_source(self, source_id: int) -> int:
        return self._count((source_id, None), lambda: slots.taken(source_id, State.QUEUED))

    def of_key(self, source_id: int, key_id: int) -> int:
        return self._count((source_id, key_id), lambda: slots.taken_by_key(source_id, key_id, State.QUEUED))

    def add(self, source_id: int, key_id: int | None) -> None:
        self._added.update({(source_id, None), (source_id, key_id)})

    def _count(self, place: tuple[int, int | None], read: Callable[[], int]) -> int:
        if place not in self._read:
            self._read[place] = read()
        return self._read[place] + self._added[place]


def over_quota(job: Job, allowed: list[Allowance]) -> Iterator[Refused]:
    """Yield a refusal for each quota that the job would exceed."""
    return quotas.exceeded(allowed, job.request["num_images"], job.cost_estimate, job.created_at)


def queue_full(source: BusinessSource, key: AccessKey | None, waiting: QueuedCounts) -> Iterator[Refused]:
    """Yield a refusal if the source, or the key, has reached its maximum number of queued jobs."""
    message = _("%(source)s already has %(limit)d jobs in the queue.")
    if waiting.of_source(source.pk) >= source.max_queued_jobs:
        words = {"source": source.name, "limit": source.max_queued_jobs}
        yield QueueFull(message % words, retry_after=RETRY_WHEN_FULL_S)
    if key is None or key.max_queued_jobs is None:
        return
    if waiting.of_key(source.pk, key.pk) >= key.max_queued_jobs:
        words = {"source": key.key_id, "limit": key.max_queued_jobs}
        yield QueueFull(message % words, retry_after=RETRY_WHEN_FULL_S)
