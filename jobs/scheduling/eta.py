"""When a job will start and end, and what it waits for. Guesses from what was lately measured."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.utils import timezone

from jobs.models import Job, Runner, State
from jobs.models.usage import seconds_per_cost

from . import queue_snapshot
from .policy import Explanation, Reason


@dataclass(frozen=True)
class JobEta:
    reason: Reason | None = None  # None: it does not wait
    ahead: int = 0
    starts_in_s: float | None = 0.0  # None: nobody can tell
    ends_in_s: float | None = 0.0


def outlook(job: Job) -> JobEta:
    """Also of a job that is not saved: as if it were queued now."""
    if job.is_terminal:
        return JobEta()
    if job.state == State.RUNNING:
        return JobEta(ends_in_s=_remaining_s(job))
    return _while_waiting(job)


def progress_of(job: Job) -> float:
    """From 0 to 1. A job that was interrupted, or failed, stays where it stood."""
    if job.state == State.SUCCEEDED and not job.interrupted:
        return 1.0
    return min(1.0, job.step / job.steps) if job.steps else 0.0


def _remaining_s(job: Job) -> float | None:
    done = progress_of(job)
    if job.started_at is None or not done:
        return None
    elapsed = (timezone.now() - job.started_at).total_seconds()
    return elapsed / done - elapsed


def _while_waiting(job: Job) -> JobEta:
    runners = Runner.objects.filter(enabled=True, backend=job.backend).defer("token")
    told = [queue_snapshot.explain(job, runner, settings.GENERATION_WORKERS) for runner in runners]
    able = [explanation for explanation in told if explanation.reason != Reason.NO_RUNNER]
    if not able:
        return JobEta(Reason.NO_RUNNER, starts_in_s=None, ends_in_s=None)
    best = min(able, key=lambda explanation: (explanation.reason != Reason.NEXT, explanation.ahead))
    return _guess(job, best, len(able))


def _guess(job: Job, best: Explanation, runners: int) -> JobEta:
    """Jobs on one runner share its device, so that device-seconds add up to seconds whoever is drawn first."""
    rate = seconds_per_cost()
    running = list(Job.objects.filter(state=State.RUNNING).only("state", "cost_estimate", "step", "steps"))
    under_way = sum(float(other.cost_estimate) * rate * (1 - progress_of(other)) for other in running)
    starts = 0.0
    if best.reason != Reason.NEXT:
        starts = (best.ahead_s + under_way / max(1, len(running))) / runners
    ends = starts + under_way / runners + float(job.cost_estimate) * rate
    return JobEta(best.reason, best.ahead, starts, ends)
