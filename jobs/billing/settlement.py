"""What was done for a job, whatever its end: who pays for it, and what its source was served.

The bill: success, what was really run; a picture that may not be shown, likewise; a client's own cancel, what the
runner says it had run; everything else, nothing. The policy counts every end, by the runner's word or by the progress.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from gpu_runner.protocol import Done
from jobs.models import Job, State
from jobs.models.usage import seconds_per_cost

from . import cost, ledger

PAID_FAILURES = frozenset({"nsfw"})


def price(job: Job, work: Done) -> Decimal:
    return cost.settled(job.cost_estimate, job.generation_request, work.steps_run)


def is_paid(to: State, error_code: str = "") -> bool:
    return to != State.FAILED or error_code in PAID_FAILURES


def figures(job: Job, work: Done | None, *, paid: bool) -> dict[str, Any]:
    """What its end writes into the job."""
    if work is None:
        return {}
    seconds = {"engine_seconds": work.engine_seconds, "device_seconds": work.device_seconds}
    if not paid:
        return seconds
    due = price(job, work)
    return seconds | {"cost": due, "settled": due}


def served(job: Job, work: Done) -> ledger.ServedWork:
    return ledger.ServedWork(work.device_seconds, float(price(job, work)))


def charge(job: Job, work: Done | None) -> None:
    """After a transaction that put the job back, or ended it without the runner's word: it weighs who is served next, and
    is nobody's bill."""
    if work is not None:
        ledger.charge(job.source_id, served(job, work))
    elif job.step and job.steps:
        done = float(job.cost_estimate) * min(1.0, job.step / job.steps)
        ledger.charge(job.source_id, ledger.ServedWork(done * seconds_per_cost(), done))
