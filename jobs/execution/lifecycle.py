"""State machine of a job. Every transition is one conditional UPDATE whose row count is checked.

The attempt number is a fencing token: each claim increments it, and every write for a running job filters by
the attempt. A worker that lost its lease matches no row, which raises LeaseLost.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from gpu_runner.protocol import Done, Environment, ImageFindings, Progress
from jobs.billing import ledger, settlement
from jobs.errors import ImpossibleTransition, LeaseLost
from jobs.images.labels import consent
from jobs.images.labels.origin import fingerprints
from jobs.models import (
    TERMINAL,
    TRANSITIONS,
    Backend,
    Fingerprint,
    Job,
    Output,
    OutputKind,
    Preview,
    Runner,
    Signal,
    State,
    Transition,
    findings_as_json,
)
from jobs.outbound.callbacks import outbox
from jobs.trained_files import installation as trained_files

from . import notifications, slots

MAX_RUNNER_DEATHS = 2
MAX_UNCLEAR_LOSSES = 5  # one may be a restart or a slow disk; this many suggest that the job is the cause
LEASE_LOST = "the lease expired"
NEVER_ACCEPTED = "the runner died before it accepted the job"
NOT_BEGUN = "no worker began the job in time"
UNCLEAR_LOSSES = (LEASE_LOST, NEVER_ACCEPTED)
POISONED = "poisoned"


@dataclass(frozen=True)
class Lease:
    """A worker's permission to write for one attempt of a job."""

    job_id: uuid.UUID
    attempt: int

    @property
    def order_id(self) -> str:
        """Job id on the runner. Contains the attempt, because the runner may still execute an older one."""
        return f"{self.job_id}-{self.attempt}"


# Claim ------------------------------------------------------------------------------------------------------


@transaction.atomic
def claim(job_id: uuid.UUID, runner: Runner) -> Lease | None:
    """Claim a queued job for a runner. The lease is short until a worker begins the job.

    Returns None if another worker claimed it first, or if the source or key is at its concurrency limit.
    """
    queued = Job.objects.filter(pk=job_id, state=State.QUEUED, backend=runner.backend)
    # The lock on the source's row lasts until the end of the transaction, so that two claims cannot both take the
    # last slot. The job's row needs none: the conditional UPDATE below takes it.
    locked = queued.select_related("source", "key").select_for_update(of=("source",), no_key=True)
    job = locked.only("attempt", "backend", "source__max_concurrent_jobs", "key__max_concurrent_jobs").first()
    if job is None or not slots.has_room(job.source, job.key, runner.backend):
        return None
    lease, now = Lease(job_id, job.attempt + 1), timezone.now()
    claimed = Job.objects.filter(pk=job_id, state=State.QUEUED, attempt=job.attempt).update(
        state=State.RUNNING,
        attempt=lease.attempt,
        runner=runner,
        runner_boot_id=runner.boot_id,
        started_at=now,
        begun_at=None,
        lease_expires_at=now + timedelta(seconds=settings.JOB_HAND_OVER_S),
        **_begins_anew(job),
    )
    if not claimed:
        return None
    _note_transition(job_id, State.QUEUED, State.RUNNING, runner.name)
    return lease


def _begins_anew(job: Job) -> dict[str, Any]:
    """Columns of an attempt that has done nothing. A training resumes: it keeps its steps and a wish to end it early."""
    if job.backend == Backend.TRAINING:
        return {}
    return {"signal": "", "step": 0, "images_done": 0, "batch": 0, "batch_step": 0}


# Running ----------------------------------------------------------------------------------------------------


def begin(lease: Lease) -> None:
    """Record that a worker takes up the claimed job, and extend its lease. Raises LeaseLost."""
    now = timezone.now()
    if not _held(lease).update(begun_at=now, lease_expires_at=_lease_end(now)):
        raise LeaseLost(str(lease.job_id))


def renew(lease: Lease, **fields: Any) -> Signal | None:
    """Extend the lease and set ``fields``. Returns the client's pending signal, if any. Raises LeaseLost."""
    if not _held(lease).update(lease_expires_at=_lease_end(timezone.now()), **fields):
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
    signal = _held(lease).order_by().values_list("signal", flat=True).first()
    if signal is None:
        raise LeaseLost(str(lease.job_id))
    return Signal(signal) if signal else None


def skip_passed_on(lease: Lease) -> None:
    """Clear the SKIP signal after forwarding it, so that the client can skip the next batch, too."""
    _held(lease).filter(signal=Signal.SKIP).update(signal="")


def signal(job_id: uuid.UUID, wanted: Signal, note: str = "") -> bool:
    """Send a signal to the worker of a running job. Returns False if the job is not running.

    A cancellation (DISCARD) cannot be replaced by another signal. ``note``: reason of a cancellation, for the
    timeline. A paused training takes INTERRUPT, too: its next attempt ends at once, with what was trained.
    """
    running = Job.objects.filter(pk=job_id, state=State.RUNNING)
    if wanted == Signal.DISCARD:
        return bool(running.update(signal=wanted, cancel_requested_at=timezone.now(), cancel_note=note[:300]))
    if running.exclude(signal=Signal.DISCARD).update(signal=wanted):
        return True
    paused = Job.objects.filter(pk=job_id, state=State.QUEUED, backend=Backend.TRAINING, step__gt=0)
    return wanted == Signal.INTERRUPT and bool(paused.update(signal=wanted))


# Requeue ----------------------------------------------------------------------------------------------------


def requeue(
    lease: Lease,
    *,
    note: str,
    runner_died: bool = False,
    expired: bool = False,
    done: Done | None = None,
) -> State:
    """Requeue a running job, or end it: as cancelled if a cancellation is pending, as failed if poisoned.

    ``runner_died``: the runner died while it executed the job. ``expired``: requeue only if the lease has
    expired; otherwise the worker is still alive, and LeaseLost is raised. ``done``: work of this attempt, if known.
    Returns the new state.
    """
    with transaction.atomic():
        job, state = _requeued(lease, note, done, runner_died=runner_died, expired=expired)
    settlement.charge(job, done)
    return state


def _requeued(
    lease: Lease, note: str, done: Done | None, *, runner_died: bool, expired: bool
) -> tuple[Job, State]:
    held = _held(lease).filter(lease_expires_at__lt=timezone.now()) if expired else _held(lease)
    job = held.select_for_update().first()
    if job is None:
        raise LeaseLost(str(lease.job_id))
    if expired and job.begun_at is None:  # lost between claim and worker: no fault of the job
        note = NOT_BEGUN
        Runner.objects.filter(jobs=job).update(hand_over_lost_at=timezone.now())
    resumes = job.backend == Backend.TRAINING
    if job.signal == Signal.DISCARD or (job.signal == Signal.INTERRUPT and not resumes):
        work = settlement.trained_so_far(job) if done is None else done
        figures = settlement.figures(job, work, paid=True) if resumes else {}
        _end(job, State.CANCELLED, note=job.cancel_note or note, held=lease.attempt, **figures)
        return job, State.CANCELLED
    deaths = job.runner_deaths + runner_died
    if message := _poisoned(job, deaths, note):
        fields: dict[str, Any] = {"error_code": POISONED, "error_message": message, "runner_deaths": deaths}
        _end(job, State.FAILED, note=note, held=lease.attempt, **fields)
        return job, State.FAILED
    back: dict[str, Any] = {"runner": None, "lease_expires_at": None} | _begins_anew(job)
    if resumes:
        back |= _trained(job, done)
    _held(lease).update(state=State.QUEUED, runner_deaths=deaths, **back)
    _note_transition(lease.job_id, State.RUNNING, State.QUEUED, note)
    Preview.objects.filter(job=lease.job_id).delete()
    notifications.notify({notifications.WORK: ""})
    return job, State.QUEUED


def _trained(job: Job, done: Done | None) -> dict[str, Any]:
    """Columns of a training that waits for its next attempt: its time on trainers, and further time to wait."""
    columns: dict[str, Any] = {"expires_at": timezone.now() + timedelta(seconds=settings.JOB_MAX_AGE_S)}
    if done is not None:
        columns["engine_seconds"] = job.engine_seconds + done.engine_seconds
        columns["device_seconds"] = job.device_seconds + done.device_seconds
    return columns


def _poisoned(job: Job, deaths: int, note: str) -> str:
    """Reason not to retry the job; empty if it may be retried."""
    if deaths >= MAX_RUNNER_DEATHS:
        return f"{deaths} runners died while they ran this job."
    if note in UNCLEAR_LOSSES:
        losses = job.transitions.filter(note__in=UNCLEAR_LOSSES).count() + 1
        if losses >= MAX_UNCLEAR_LOSSES:
            return f"{losses} times a worker or a runner was lost with this job."
    return ""


# End --------------------------------------------------------------------------------------------------------


def succeed(
    lease: Lease,
    done: Done,
    outputs: list[Output],
    findings: Sequence[ImageFindings] = (),
    *,
    interrupted: bool = False,
    environment: Environment | None = None,
    job: Job | None = None,
) -> None:
    """End the job as succeeded, with its outputs and findings. ``job``: the row if the caller has already read it.

    Raises LeaseLost.
    """
    job = job or _job(lease)
    # For quotas and the statement, an analyzed image counts as an image, and a mask does not.
    drawn = max(sum(output.kind == OutputKind.IMAGE for output in outputs), len(findings))
    drawn = min(drawn, job.request["num_images"])
    counts: dict[str, Any] = {"images": drawn, "images_done": drawn, "interrupted": interrupted}
    if findings:
        counts["findings"] = findings_as_json(findings)
    if environment is not None:
        counts["environment"] = environment.model_dump(mode="json")
    last = {} if interrupted else {"step": F("steps")}  # the last progress event is older
    with transaction.atomic():
        # One transaction: a succeeded job has all of its outputs, any other job has none.
        if job.backend == Backend.TRAINING:
            trained_files.publish(job)
        _end_after(job, lease, State.SUCCEEDED, done, outputs, **counts, **last)
        consent.record(job, outputs)


def fail(lease: Lease, code: str, message: str, done: Done | None = None) -> None:
    """End the job as failed. ``done``: work up to the failure, if reported. Raises LeaseLost."""
    job = _job(lease)
    with transaction.atomic():
        _end_after(job, lease, State.FAILED, done, note=code, error_code=code, error_message=message)
    if done is None:
        settlement.charge(job, None)


def cancelled(lease: Lease, done: Done | None = None) -> None:
    """End the job as cancelled. ``done``: work up to the cancellation, if reported. Raises LeaseLost."""
    job = _job(lease)
    done = settlement.trained_so_far(job) if done is None else done
    with transaction.atomic():
        _end_after(job, lease, State.CANCELLED, done, note=job.cancel_note)
    if done is None:
        settlement.charge(job, None)


def _end_after(
    job: Job, lease: Lease, to: State, done: Done | None, outputs: Sequence[Output] = (), **fields: Any
) -> None:
    paid = settlement.is_paid(to, fields.get("error_code", ""))
    if done is not None and job.backend != Backend.TRAINING:
        fields["served"] = settlement.served(job, done)
    _end(job, to, held=lease.attempt, outputs=outputs, **settlement.figures(job, done, paid=paid), **fields)


@transaction.atomic
def cancel(job_id: uuid.UUID, note: str = "") -> State:
    """Cancel a job: a queued one ends immediately, the worker of a running one gets a signal.

    Returns the resulting state. Raises Job.DoesNotExist.
    """
    job = Job.objects.select_for_update().get(pk=job_id)
    if job.state == State.QUEUED:
        _cancel_queued(job, note)
        return State.CANCELLED
    if job.state == State.RUNNING:
        signal(job_id, Signal.DISCARD, note)
    return State(job.state)


@transaction.atomic
def cancel_queued(job_id: uuid.UUID, note: str = "") -> bool:
    """Cancel a job that waits. Returns False if it no longer does."""
    job = Job.objects.select_for_update().filter(pk=job_id, state=State.QUEUED).first()
    if job is None:
        return False
    _cancel_queued(job, note)
    return True


def _cancel_queued(job: Job, note: str) -> None:
    """A training that has waited for its next attempt is billed for the steps of earlier ones."""
    figures = settlement.figures(job, settlement.trained_so_far(job), paid=True)
    _end(job, State.CANCELLED, note=note, cancel_requested_at=timezone.now(), **figures)


@transaction.atomic
def expire(job_id: uuid.UUID) -> bool:
    """End a queued job as expired. Returns False if it is no longer queued."""
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
    outputs: Sequence[Output] = (),
    **fields: Any,
) -> None:
    """End the job from ``job.state``, or from RUNNING if ``held`` is still its attempt.

    Releases the reservation, posts the price ``settled`` for ``images``, and adds ``served`` to the source's usage.
    Lock order, in every transaction that takes more than one: job, accounts, usage.
    Raises LeaseLost (with ``held``) or ImpossibleTransition if the job has left its state.
    """
    if to not in TERMINAL:
        raise ImpossibleTransition(f"{to} is not an end")
    origin = State(job.state) if held is None else State.RUNNING
    _check_transition(origin, to)
    rows = Job.objects.filter(pk=job.pk, state=origin)
    if held is not None:
        rows = rows.filter(attempt=held)
    if not rows.update(state=to, finished_at=timezone.now(), lease_expires_at=None, signal="", **fields):
        if held is None:
            raise ImpossibleTransition(f"job {job.pk} is no longer {job.state}")
        raise LeaseLost(str(job.pk))
    _note_transition(job.pk, origin, to, note)
    Output.objects.bulk_create(outputs)
    Fingerprint.objects.bulk_create(fingerprints(job, outputs))
    Preview.objects.filter(job=job.pk).delete()
    if job.backend == Backend.TRAINING and to != State.SUCCEEDED:
        transaction.on_commit(partial(trained_files.release, job.pk))
    ledger.close(job, settled, images)
    if served is not None:
        ledger.charge(job.source_id, served)
    notifications.notify({notifications.ENDED: str(job.pk), notifications.WORK: ""})
    if job.has_callback:
        outbox.job_ended(job.pk)


# State machine ----------------------------------------------------------------------------------------------


def _check_transition(origin: State, to: State) -> None:
    if to not in TRANSITIONS.get(origin, frozenset()):
        raise ImpossibleTransition(f"{origin} → {to}")


def _note_transition(job_id: uuid.UUID, origin: State, to: State, note: str) -> None:
    """Add the transition to the job's timeline. Call it in the transaction that changes the state."""
    _check_transition(origin, to)
    Transition.objects.create(job_id=job_id, from_state=origin, to_state=to, note=note[:300])


def _job(lease: Lease) -> Job:
    job = Job.objects.filter(pk=lease.job_id).first()
    if job is None:
        raise LeaseLost(str(lease.job_id))
    return job


def _held(lease: Lease) -> QuerySet[Job]:
    return Job.objects.filter(pk=lease.job_id, state=State.RUNNING, attempt=lease.attempt)


def _lease_end(now: datetime) -> datetime:
    return now + timedelta(seconds=settings.JOB_LEASE_S)
