"""Settlement: final price and usage of a finished job.

The steps actually run are billed if the job succeeded, failed the NSFW check, or was cancelled by its client.
All other failures cost nothing. For scheduling, every outcome counts as usage: as reported by the runner, or
else estimated from the progress.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from gpu_runner.protocol import Done
from gpu_runner.protocol.step_count import evaluations_per_trained_row
from jobs.models import Backend, Job, State
from jobs.models.usage import seconds_per_cost

from . import cost, ledger, workflow_cost

PAID_FAILURES = frozenset({"nsfw"})


def price(job: Job, work: Done) -> Decimal:
    """Final price of the steps that were run."""
    if job.workflow is not None:
        due = workflow_cost.settled(job.cost_estimate, job.generation_request, job.workflow, work)
        if due is not None:
            return due
    return cost.settled(job.cost_estimate, job.generation_request, work.steps_run, work.pixel_steps)


def is_paid(to: State, error_code: str = "") -> bool:
    """Whether a job that ends in this state is billed."""
    return to != State.FAILED or error_code in PAID_FAILURES


def figures(job: Job, work: Done | None, *, paid: bool) -> dict[str, Any]:
    """Values of the job's columns to update when it ends: device times and, if billed, cost."""
    if work is None:
        return {}
    seconds = {"engine_seconds": work.engine_seconds, "device_seconds": work.device_seconds}
    if job.backend == Backend.TRAINING:  # its steps may have been done in several attempts
        seconds["engine_seconds"] += job.engine_seconds
        seconds["device_seconds"] += job.device_seconds
    if not paid:
        return seconds
    due = price(job, work)
    return seconds | {"cost": due, "settled": due}


def trained_so_far(job: Job) -> Done | None:
    """Work of a training up to the last step that was reported, by any attempt. None for other jobs."""
    request, training = job.generation_request, job.generation_request.training
    if job.backend != Backend.TRAINING or training is None:
        return None
    evaluations = job.step * training.batch_size * evaluations_per_trained_row(training)
    pixel_steps = evaluations * request.width * request.height
    return Done(engine_seconds=0, device_seconds=0, steps_run=evaluations, pixel_steps=pixel_steps)


def served(job: Job, work: Done) -> ledger.ServedWork:
    """Usage to charge to the source for scheduling."""
    return ledger.ServedWork(work.device_seconds, float(price(job, work)))


def charge(job: Job, work: Done | None) -> None:
    """Charge usage to the source for scheduling; nothing is billed.

    Call it after the transaction that requeued the job or ended it. Without a report of the runner
    (``work`` is None), the usage is estimated from the progress. Trainings do not count: they use no runner that draws.
    """
    if job.backend == Backend.TRAINING:
        return
    if work is not None:
        ledger.charge(job.source_id, served(job, work))
    elif job.step and job.steps:
        done = float(job.cost_estimate) * min(1.0, job.step / job.steps)
        ledger.charge(job.source_id, ledger.ServedWork(done * seconds_per_cost(), done))
