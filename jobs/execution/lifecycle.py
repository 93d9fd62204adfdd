"""The state machine of a job. Every change is one conditional UPDATE whose count is checked.

The attempt is the fence: a claim raises it, and whoever writes for a running job names the attempt it holds. A worker
that lost its lease finds no row to update, and gets LeaseLost.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Subquery
from django.utils import timezone

from access import account_balances
from gpu_runner.protocol import Done, Progress
from jobs.billing import ledger, settlement
from jobs.errors import ImpossibleTransition, LeaseLost
from jobs.models import (
    TERMINAL,
    TRANSITIONS,
    Job,
    Output,
    OutputKind,
    Preview,
    Runner,
    Signal,
    State,
    Transition,
)
from jobs.outbound.callbacks import outbox
from statements import (
    Ask,
    InsertStatement,
    Statement,
    UpdateStatement,
    Write,
    given,
    pipelined,
    send,
    together,
)

from . import notifications, slots

MAX_RUNNER_DEATHS = 2
MAX_UNCLEAR_LOSSES = 5  # one is a restart or a slow disk; so many may be what the job does
LEASE_LOST = "the lease expired"
NEVER_ACCEPTED = "the runner died before it accepted the job"
UNCLEAR_LOSSES = (LEASE_LOST, NEVER_ACCEPTED)
POISONED = "poisoned"


@dataclass(frozen=True)
class Lease:
    """A worker's right to write for a job: this attempt, and no other."""

    job_id: uuid.UUID
    attempt: int

    @property
    def order_id(self) -> str:
        """What the runner calls it: an older attempt may not have left it yet."""
        return f"{self.job_id}-{self.attempt}"


# Taking -------------------------------------------------------------------------------------------------------------


def claim(job_id: uuid.UUID, runner: Runner) -> Lease | None:
    """None when somebody was first, or when the job's source or key runs as many as it may."""
    with pipelined(), transaction.atomic():
        return claimed(job_id, runner, together(*ask_to_claim(job_id, runner.backend)))


def ask_to_claim(job_id: uuid.UUID, backend: str) -> tuple[Ask[Any], ...]:
    """In a transaction; ``claimed`` makes a lease of the answers in the same one."""
    return _QUEUED.ask(job_id=job_id, backend=backend), *slots.room_to_run(job_id)


def claimed(job_id: uuid.UUID, runner: Runner, answers: Sequence[Any]) -> Lease | None:
    """As ``claim``."""
    found, *room = answers
    if not found:
        return None
    source_id, key_id, key_limit, attempts = found[0]
    if not slots.has_room_to_run(*room):
        return None
    if key_limit is not None and slots.taken_by_key(source_id, key_id, State.RUNNING) >= key_limit:
        return None
    now, attempt = timezone.now(), attempts + 1
    change = _change(
        job_id,
        State.QUEUED,
        state=State.RUNNING,
        attempt=attempt,
        runner_id=runner.pk,
        runner_boot_id=runner.boot_id,
        started_at=now,
        lease_expires_at=_lease_end(now),
        signal="",
        **_NO_PROGRESS,
    )
    # Nobody counts the rows: the job was read under a lock.
    send(change.write(), _transition(job_id, State.QUEUED, State.RUNNING, runner.name))
    return Lease(job_id, attempt)


_NO_PROGRESS = {"step": 0, "images_done": 0, "batch": 0, "batch_step": 0}


_QUEUED: Statement[tuple[int, int | None, int | None, int]] = Statement(
    lambda: (
        Job.objects.select_for_update(skip_locked=connection.features.has_select_for_update_skip_locked)
        .filter(pk=given("job_id"), state=State.QUEUED, backend=given("backend"))
        .annotate(key_limit=Subquery(slots.KEY_LIMIT))
        .values_list("source_id", "key_id", "key_limit", "attempt")
        .order_by()
    )
)


# While it runs ------------------------------------------------------------------------------------------------------


def renew(lease: Lease, **fields: Any) -> Signal | None:
    """Extends the lease and gives back what a client asked for meanwhile."""
    fields["lease_expires_at"] = _lease_end(timezone.now())
    if not _change(lease.job_id, State.RUNNING, held=lease.attempt, **fields).run():
        raise LeaseLost(str(lease.job_id))
    return pending_signal(lease)


def progress(lease: Lease, event: Progress) -> Signal | None:
    return renew(
        lease,
        step=event.step,
        steps=event.steps,
        images_done=event.images_done,
        batch=event.batch,
        batch_step=event.batch_step,
    )


def pending_signal(lease: Lease) -> Signal | None:
    signal = _SIGNAL.first(job_id=lease.job_id, attempt=lease.attempt)
    if signal is None:
        raise LeaseLost(str(lease.job_id))
    return Signal(signal) if signal else None


_SIGNAL = Statement(
    lambda: (
        Job.objects.filter(pk=given("job_id"), state=State.RUNNING, attempt=given("attempt"))
        .values_list("signal", flat=True)
        .order_by()
    )
)


def skip_passed_on(lease: Lease) -> None:
    """A batch was skipped; the client may ask for the next one to be skipped, too."""
    _held(lease).filter(signal=Signal.SKIP).update(signal="")


def signal(job_id: uuid.UUID, wanted: Signal, note: str = "") -> bool:
    """Asks the worker of a running job; False when it does not run. Nothing takes a cancellation back.

    ``note``: of a cancellation, for the timeline.
    """
    running = Job.objects.filter(pk=job_id, state=State.RUNNING)
    if wanted == Signal.DISCARD:
        return bool(running.update(signal=wanted, cancel_requested_at=timezone.now(), cancel_note=note[:300]))
    return bool(running.exclude(signal=Signal.DISCARD).update(signal=wanted))


# Back into the queue ------------------------------------------------------------------------------------------------


def requeue(
    lease: Lease,
    *,
    note: str,
    runner_died: bool = False,
    expired: bool = False,
    done: Done | None = None,
) -> State:
    """Back to the queue, or to its end: cancelled if that was asked for, failed if it is poisoned.

    ``runner_died``: while it had the job. ``expired``: only if the lease is over; otherwise LeaseLost, because a worker
    shows life after all.
    """
    with transaction.atomic():
        job, state = _requeued(lease, note, runner_died=runner_died, expired=expired)
    settlement.charge(job, done)
    return state


def _requeued(lease: Lease, note: str, *, runner_died: bool, expired: bool) -> tuple[Job, State]:
    held = _held(lease).filter(lease_expires_at__lt=timezone.now()) if expired else _held(lease)
    job = held.select_for_update().first()
    if job is None:
        raise LeaseLost(str(lease.job_id))
    if job.signal in {Signal.DISCARD, Signal.INTERRUPT}:
        _end(job, State.CANCELLED, note=job.cancel_note or note, held=lease.attempt)
        return job, State.CANCELLED
    deaths = job.runner_deaths + runner_died
    if message := _poisoned(job, deaths, note):
        fields: dict[str, Any] = {"error_code": POISONED, "error_message": message, "runner_deaths": deaths}
        _end(job, State.FAILED, note=note, held=lease.attempt, **fields)
        return job, State.FAILED
    back: dict[str, Any] = {"runner_id": None, "lease_expires_at": None, "signal": ""} | _NO_PROGRESS
    change = _change(lease.job_id, State.RUNNING, state=State.QUEUED, runner_deaths=deaths, **back)
    send(
        change.write(),  # of a job that was read under a lock
        _transition(lease.job_id, State.RUNNING, State.QUEUED, note),
        _NO_PREVIEW.write(job_id=lease.job_id),
        *notifications.to_ring({notifications.WORK: ""}),
    )
    return job, State.QUEUED


def _poisoned(job: Job, deaths: int, note: str) -> str:
    """Why it is not tried once more; empty if it is."""
    if deaths >= MAX_RUNNER_DEATHS:
        return f"{deaths} runners died while they ran this job."
    if note in UNCLEAR_LOSSES:
        losses = job.transitions.filter(note__in=UNCLEAR_LOSSES).count() + 1
        if losses >= MAX_UNCLEAR_LOSSES:
            return f"{losses} times a worker or a runner was lost with this job."
    return ""


_NO_PREVIEW = UpdateStatement(lambda: Preview.objects.filter(job=given("job_id")))


# The end ------------------------------------------------------------------------------------------------------------


def succeed(
    lease: Lease, done: Done, outputs: list[Output], *, interrupted: bool = False, job: Job | None = None
) -> None:
    """``job``: as the lease's holder has read it, if it has."""
    job = job or _job(lease)
    with pipelined(), transaction.atomic():
        # A job that is not succeeded has no output, one that is has them all.
        # A mask beside its image is no further image: not for quotas, and not for the statement.
        drawn = min(sum(output.kind == OutputKind.PICTURE for output in outputs), job.request["num_images"])
        counts = {"images": drawn, "images_done": drawn, "interrupted": interrupted}
        last = {} if interrupted else {"step": F("steps")}  # what its runner told of was some time ago
        written = [_OUTPUTS.write(outputs)] if outputs else []
        _end_after(job, lease, State.SUCCEEDED, done, written, **counts, **last)


_OUTPUTS: InsertStatement[Output] = InsertStatement(lambda: Output)


def fail(lease: Lease, code: str, message: str, done: Done | None = None) -> None:
    """``done``: the work up to there, where the runner told it."""
    job = _job(lease)
    with transaction.atomic():
        _end_after(job, lease, State.FAILED, done, note=code, error_code=code, error_message=message)
    if done is None:
        settlement.charge(job, None)


def cancelled(lease: Lease, done: Done | None = None) -> None:
    """The runner has dropped the job, as its client had asked, after ``done``."""
    job = _job(lease)
    with transaction.atomic():
        _end_after(job, lease, State.CANCELLED, done, note=job.cancel_note)
    if done is None:
        settlement.charge(job, None)


def _end_after(
    job: Job, lease: Lease, to: State, done: Done | None, also: Sequence[Write] = (), **fields: Any
) -> None:
    paid = settlement.is_paid(to, fields.get("error_code", ""))
    if done is not None:
        fields["served"] = settlement.served(job, done)
    _end(job, to, held=lease.attempt, also=also, **settlement.figures(job, done, paid=paid), **fields)


@transaction.atomic
def cancel(job_id: uuid.UUID, note: str = "") -> State:
    """Ends a queued job at once and asks the worker of a running one. The state in which that left the job."""
    job = Job.objects.select_for_update().get(pk=job_id)
    if job.state == State.QUEUED:
        _end(job, State.CANCELLED, note=note, cancel_requested_at=timezone.now())
        return State.CANCELLED
    if job.state == State.RUNNING:
        signal(job_id, Signal.DISCARD, note)
    return State(job.state)


@transaction.atomic
def expire(job_id: uuid.UUID) -> bool:
    """False when it is no longer queued."""
    job = Job.objects.select_for_update().get(pk=job_id)
    if job.state != State.QUEUED:
        return False
    _end(job, State.EXPIRED, error_code="expired", error_message="The job waited in the queue for too long.")
    return True


def _end(
    job: Job,
    to: State,
    *,
    note: str = "",
    held: int | None = None,
    settled: Decimal | None = None,
    images: int = 0,
    served: ledger.ServedWork | None = None,
    also: Sequence[Write] = (),
    **fields: Any,
) -> None:
    """From ``job.state``, as it was read. With ``held``, an attempt: only if that attempt still holds the job.

    What was reserved is released, and ``settled``, the price, is booked with the pictures that it is for. What was
    ``served`` is added to the source's usage. What is ``also`` written is written if the job ends.
    """
    if to not in TERMINAL:
        raise ImpossibleTransition(f"{to} is not an end")
    origin = State(job.state) if held is None else State.RUNNING
    moved = _transition(job.pk, origin, to, note)
    fields |= {"state": to, "finished_at": timezone.now(), "lease_expires_at": None, "signal": ""}
    # The job before its accounts, and those before the usage, as everybody locks them who locks more than one.
    changed, accounts, *usage = together(
        _change(job.pk, origin, held=held, **fields).ask(),
        account_balances.ask_lock(job.source_id, job.key_id),
        *([ledger.ask_usage(job.source_id)] if served else []),
    )
    if not changed and held is None:
        raise ImpossibleTransition(f"job {job.pk} is no longer {job.state}")
    if not changed:
        raise LeaseLost(str(job.pk))
    account_balances.make_missing(job.source_id, job.key_id, accounts)
    send(
        moved,
        _NO_PREVIEW.write(job_id=job.pk),
        *ledger.closing(job, settled, images),
        *([ledger.charging(job.source_id, usage[0], served)] if served else []),
        *also,
        *notifications.to_ring({notifications.ENDED: str(job.pk), notifications.WORK: notifications.FREED}),
    )
    if job.has_callback:
        outbox.job_ended(job.pk)


# The one place that changes a state ---------------------------------------------------------------------------------


def _transition(job_id: uuid.UUID, origin: State, to: State, note: str) -> Write:
    """The line of the timeline that goes with a change of state. Raises ImpossibleTransition."""
    if to not in TRANSITIONS.get(origin, frozenset()):
        raise ImpossibleTransition(f"{origin} → {to}")
    return _TRANSITIONS.write([Transition(job_id=job_id, from_state=origin, to_state=to, note=note[:300])])


_TRANSITIONS: InsertStatement[Transition] = InsertStatement(lambda: Transition)


@dataclass(frozen=True)
class _Change:
    """Of a job's row, as long as it is as it was."""

    statement: UpdateStatement
    values: dict[str, Any]

    def run(self) -> bool:
        return bool(self.statement.run(**self.values))

    def ask(self) -> Ask[int]:
        return self.statement.ask(**self.values)

    def write(self) -> Write:
        return self.statement.write(**self.values)


def _change(job_id: uuid.UUID, origin: State, *, held: int | None = None, **fields: Any) -> _Change:
    where = {"pk": job_id, "state": origin} | ({} if held is None else {"attempt": held})
    values = {f"where_{name}": value for name, value in where.items()} | fields
    to = tuple((name, value if isinstance(value, F) else None) for name, value in fields.items())
    return _Change(_update_statement(tuple(where), to), values)


@cache
def _update_statement(where: tuple[str, ...], to: tuple[tuple[str, F | None], ...]) -> UpdateStatement:
    """``to``: the columns, and of those that get another column's value, that one."""
    found = {name: given(f"where_{name}") for name in where}
    values = {name: given(name) if other is None else other for name, other in to}
    return UpdateStatement(lambda: Job.objects.filter(**found), **values)


def _job(lease: Lease) -> Job:
    job = _JOB.first(job_id=lease.job_id)
    if job is None:
        raise LeaseLost(str(lease.job_id))
    return job


_JOB = Statement(lambda: Job.objects.filter(pk=given("job_id")).order_by())


def _held(lease: Lease) -> Any:
    return Job.objects.filter(pk=lease.job_id, state=State.RUNNING, attempt=lease.attempt)


def _lease_end(now: datetime) -> datetime:
    return now + timedelta(seconds=settings.JOB_LEASE_S)
