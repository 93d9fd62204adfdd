"""Planned jobs become rows, with what is held for them and what is promised: several requests' in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from statements import InsertStatement, pipelined, send

from . import idempotency
from .group_commit import GroupCommit
from .submission import Submission

RETRY_WHEN_FULL_S = 10


@dataclass(frozen=True)
class Planned:
    job: Job  # not saved
    submission: Submission
    language: str  # of its refusal


def insert(job: Job, submission: Submission) -> Job:
    """Raises Refused where a limit is reached, IntegrityError where the caller's id has just named another job."""
    return _TOGETHER.submit(Planned(job, submission, translation.get_language()))


def insert_all(planned: Sequence[Planned]) -> list[Job | Refused]:
    """Of each its job, or why it is refused."""
    with pipelined(), transaction.atomic():
        outcomes = _with_room(planned)
        if taken := [one for one, outcome in zip(planned, outcomes, strict=True) if outcome is one.job]:
            _insert_rows(taken)
    return outcomes


def _insert_rows(planned: Sequence[Planned]) -> None:
    jobs = [one.job for one in planned]
    send(
        _JOBS.write(jobs),
        _TRANSITIONS.write([_first_transition(one) for one in planned]),
        *ledger.reservation(jobs),
        *notifications.to_ring({notifications.WORK: str(jobs[0].pk) if len(jobs) == 1 else ""}),
    )
    for one in planned:
        _promise(one.submission, one.job)


_JOBS: InsertStatement[Job] = InsertStatement(lambda: Job)
_TRANSITIONS: InsertStatement[Transition] = InsertStatement(lambda: Transition)
_TOGETHER: GroupCommit[Planned, Job] = GroupCommit(insert_all)
on_the_way = _TOGETHER.on_the_way


def _first_transition(planned: Planned) -> Transition:
    job, note = planned.job, planned.submission.note[:300]
    return Transition(job=job, to_state=State.QUEUED, note=note, at=job.created_at)


def _promise(submission: Submission, job: Job) -> None:
    """What is to be remembered beside the job."""
    if needed := submission.request.pictures():
        input_usage.remember(job, needed)
    if submission.callback:
        outbox.add(job.pk, submission.dialect, submission.callback)
    if submission.idempotency:
        idempotency.remember(submission.source, submission.dialect, submission.idempotency, job.pk)


def _with_room(planned: Sequence[Planned]) -> list[Job | Refused]:
    """Under a lock of all accounts, so that no limit is passed by two requests at once, in one transaction or in two."""
    sources = sorted({one.job.source_id for one in planned})
    accounts, queued = account_balances.all_locked(
        {(one.job.source_id, one.job.key_id) for one in planned},
        *(slots.ask_taken(source, State.QUEUED) for source in sources),
    )
    waiting = QueuedCounts(dict(zip(sources, map(slots.counted, queued), strict=True)))
    outcomes: list[Job | Refused] = []
    for one in planned:
        with translation.override(one.language):
            refused = next(_no_room(one.job, accounts, waiting), None)
        if refused is None and one is not planned[-1]:
            _hold(one.job, accounts, waiting)
        outcomes.append(refused or one.job)
    return outcomes


def _no_room(job: Job, accounts: dict[str, Account], waiting: QueuedCounts) -> Iterator[Refused]:
    allowed = quotas.every_allowance(job.source, job.key, accounts, job.created_at)
    return chain(queue_full(job.source, job.key, waiting), over_quota(job, allowed))


def _hold(job: Job, accounts: dict[str, Account], waiting: QueuedCounts) -> None:
    """What the next of this transaction finds taken."""
    waiting.add(job.source_id, job.key_id)
    day, micros = account_balances.accounting_day(job.created_at), ledger.in_micros(job.cost_estimate)
    for owner, _mine in account_balances.owners(job.source_id, job.key_id):
        accounts[owner].add(day, job.request["num_images"], micros)


class QueuedCounts:
    """How many jobs wait: read once in a transaction, and counted on."""

    def __init__(self, of_sources: Mapping[int, int]) -> None:
        self._read: dict[tuple[int, int | None], int] = {(pk, None): jobs for pk, jobs in of_sources.items()}
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
    return quotas.exceeded(allowed, job.request["num_images"], job.cost_estimate, job.created_at)


def queue_full(source: BusinessSource, key: AccessKey | None, waiting: QueuedCounts) -> Iterator[Refused]:
    message = _("%(source)s already has %(limit)d jobs in the queue.")
    if waiting.of_source(source.pk) >= source.max_queued_jobs:
        words = {"source": source.name, "limit": source.max_queued_jobs}
        yield QueueFull(message % words, retry_after=RETRY_WHEN_FULL_S)
    if key is None or key.max_queued_jobs is None:
        return
    if waiting.of_key(source.pk, key.pk) >= key.max_queued_jobs:
        words = {"source": key.key_id, "limit": key.max_queued_jobs}
        yield QueueFull(message % words, retry_after=RETRY_WHEN_FULL_S)
