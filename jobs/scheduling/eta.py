"""Queue position and ETA of a job, estimated from recent throughput."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.core.cache import cache
from django.utils import timezone

from jobs.execution import slots
from jobs.models import Job, Runner, State

from . import queue_snapshot
from .policy import Explanation, Reason

# Reasons that no estimate can be made for; of several runners, the first is told.
UNABLE = (Reason.OUTSIDE_HOURS, Reason.RUNNERS_DRAW, Reason.RUNNER_BACKS_OFF, Reason.NO_RUNNER)


@dataclass(frozen=True)
class JobEta:
    """Estimated start and end of a job, in seconds from now."""

    reason: Reason | None = None  # None: the job is not queued
    ahead: int = 0  # number of jobs that start before it
    starts_in_s: float | None = 0.0  # None: no estimate
    ends_in_s: float | None = 0.0


def outlook(job: Job) -> JobEta:
    """ETA of a job. An unsaved job is treated as if it were queued now."""
    if job.is_terminal:
        return JobEta()
    if job.state == State.RUNNING:
        return JobEta(ends_in_s=_remaining_s(job))
    return _while_waiting(job)


def progress_of(job: Job) -> float:
    """Progress from 0 to 1. Interrupted and failed jobs keep the progress that they had reached."""
    if job.state == State.SUCCEEDED and not job.interrupted:
        return 1.0
    return min(1.0, job.step / job.steps) if job.steps else 0.0


def _remaining_s(job: Job) -> float | None:
    """Remaining seconds at the speed up to the last written step, less the time since then.

    Between two steps it therefore falls; with the time up to now it would rise until the next step is written.
    Steps that take longer than those before let it stand still, so that clients never see it rise.
    """
    done = progress_of(job)
    if job.started_at is None or not done:
        return None
    now = timezone.now()
    written_at = max(job.started_at, min(now, _last_write(job) or now))
    elapsed = (written_at - job.started_at).total_seconds()
    estimate = max(0.0, elapsed / done - elapsed - (now - written_at).total_seconds())
    return _lowest(f"eta:{job.pk}:{job.started_at.timestamp()}", estimate)


def _lowest(key: str, estimate: float) -> float:
    """The lowest estimate of an attempt so far. Each web process remembers its own."""
    lowest: float = min(estimate, cache.get(key, estimate))
    cache.set(key, lowest, settings.JOB_LEASE_S)
    return lowest


def _last_write(job: Job) -> datetime | None:
    """Time of the last progress of a running job: each extends the lease."""
    if job.lease_expires_at is None:
        return None
    return job.lease_expires_at - timedelta(seconds=settings.JOB_LEASE_S)


def _while_waiting(job: Job) -> JobEta:
    runners = Runner.objects.filter(enabled=True, backend=job.backend).defer(
        "token", "server_secret", "nodes", "file_lists"
    )
    told = [queue_snapshot.explain(job, runner, settings.GENERATION_WORKERS) for runner in runners]
    able = [explanation for explanation in told if explanation.reason not in UNABLE]
    if not able:
        reasons = {explanation.reason for explanation in told}
        reason = next((reason for reason in UNABLE if reason in reasons), Reason.NO_RUNNER)
        return JobEta(reason, starts_in_s=None, ends_in_s=None)
    best = min(able, key=lambda explanation: (explanation.reason != Reason.NEXT, explanation.ahead))
    return _guess(job, best, len(able))


def _guess(job: Job, best: Explanation, runners: int) -> JobEta:
    """Estimate start and end. Jobs on one runner share its device, so device-seconds add up in any order."""
    _served, rate = queue_snapshot.served_and_rate(job.backend, timezone.now())
    alike = Job.objects.filter(slots.alike(job.backend), state=State.RUNNING)
    running = list(alike.only("state", "cost_estimate", "step", "steps"))
    under_way = sum(float(other.cost_estimate) * rate * (1 - progress_of(other)) for other in running)
    starts = 0.0
    if best.reason != Reason.NEXT:
        starts = (best.ahead_s + under_way / max(1, len(running))) / runners
    ends = starts + under_way / runners + float(job.cost_estimate) * rate * (1 - progress_of(job))
    return JobEta(best.reason, best.ahead, starts, ends)
