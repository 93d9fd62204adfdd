"""Scheduling policy as pure functions: which queued jobs start next, and why a job does not start yet."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import takewhile

LEAD_S = 60.0  # a source ahead of the least-served one by more must wait, regardless of lane and age
AGEING_S = 60.0  # a queued job is promoted by one lane per this time
WINDOW = 32  # among this many oldest jobs of a source, one with a loaded checkpoint may go first...
PATIENCE_S = 30.0  # ...unless the oldest has waited longer than this


@dataclass(frozen=True)
class QueuedJob:
    """A queued job, as the policy sees it."""

    id: Hashable
    source_id: int
    lane: int
    created_at: datetime
    checkpoint: str  # sha256
    expected_s: float = 1.0  # device-seconds
    suspect: bool = False  # a runner died while executing it
    template: Hashable = None  # of ComfyUI jobs


@dataclass(frozen=True)
class SourceLoad:
    """Current load of a source: recent usage, running jobs and limits."""

    weight: float
    served_s: float  # decayed device-seconds, including those expected for its running jobs
    running: int
    cap: int

    @property
    def has_room(self) -> bool:
        return self.running < self.cap

    @property
    def share(self) -> float:
        return self.served_s / self.weight

    def with_one_more(self, job: QueuedJob) -> SourceLoad:
        return replace(self, running=self.running + 1, served_s=self.served_s + job.expected_s)


class Reason(StrEnum):
    """Why a job does not start yet."""

    NEXT = "next"  # it starts now
    NO_RUNNER = "no_runner"
    OUTSIDE_HOURS = "outside_hours"  # trainings start at other times of the day
    RUNNERS_DRAW = "runners_draw"  # trainings start when no image is drawn
    NO_FREE_SLOT = "no_free_slot"
    SOURCE_AT_CAP = "source_at_cap"
    KEY_AT_CAP = "key_at_cap"  # set by queue_snapshot; the policy does not see such jobs
    SUSPECT_WAITS = "suspect_waits"
    RUNNER_BACKS_OFF = "runner_backs_off"  # jobs of its template have failed on the runner
    BEHIND_OTHERS = "behind_others"


@dataclass(frozen=True)
class RunnerView:
    """State of a runner, as the policy sees it."""

    free_slots: int
    loaded: frozenset[str] = frozenset()  # SHA-256 of the loaded models
    runs_suspect: bool = False
    takes_work: bool = True  # enabled, not draining, and seen lately
    backs_off_from: frozenset[Hashable] = frozenset()  # templates that failed on it lately
    closed: Reason | None = None  # why no job may start now

    @property
    def is_open(self) -> bool:
        return self.takes_work and self.closed is None

    def with_one_more(self, job: QueuedJob) -> RunnerView:
        return replace(
            self,
            free_slots=self.free_slots - 1,
            loaded=self.loaded | {job.checkpoint},
            runs_suspect=self.runs_suspect or job.suspect,
        )


@dataclass(frozen=True)
class Explanation:
    reason: Reason
    ahead: int = 0  # jobs that would start before it
    ahead_s: float = 0.0  # expected device-seconds of these jobs


def choose(
    waiting: Sequence[QueuedJob], sources: Mapping[int, SourceLoad], runner: RunnerView, now: datetime
) -> list[QueuedJob]:
    """Return the jobs to start now, the most urgent first; at most as many as the runner has free slots.

    Criteria, in this order: the source is at most LEAD_S ahead of the least-served source with a startable
    job; lane, with ageing; least-served source; loaded checkpoint, within WINDOW and PATIENCE_S; age. Without
    the first criterion, the aged backlog of a source that floods the queue would precede new jobs of all
    other sources.
    """
    left, loads, chosen = list(waiting), dict(sources), []
    while runner.is_open and runner.free_slots > 0:
        job = _next(left, loads, runner, now)
        if job is None:
            break
        chosen.append(job)
        left.remove(job)
        loads[job.source_id] = loads[job.source_id].with_one_more(job)
        runner = runner.with_one_more(job)
    return chosen


def explain(
    job: QueuedJob,
    waiting: Sequence[QueuedJob],
    sources: Mapping[int, SourceLoad],
    runner: RunnerView,
    now: datetime,
) -> Explanation:
    """Explain why this job is not running yet, by the criteria of ``choose``."""
    if not runner.takes_work:
        return Explanation(Reason.NO_RUNNER)
    if runner.closed is not None:
        return Explanation(runner.closed)
    if not sources[job.source_id].has_room:
        return Explanation(Reason.SOURCE_AT_CAP)
    if job.suspect and runner.runs_suspect:
        return Explanation(Reason.SUSPECT_WAITS)
    if job.template in runner.backs_off_from:
        return Explanation(Reason.RUNNER_BACKS_OFF)
    started = [chosen.id for chosen in choose(waiting, sources, runner, now)]
    if job.id in started:
        return Explanation(Reason.NEXT, started.index(job.id))
    reason = Reason.BEHIND_OTHERS if runner.free_slots > 0 else Reason.NO_FREE_SLOT
    before = _ahead(job, waiting, sources, runner, now)
    return Explanation(reason, len(before), sum(other.expected_s for other in before))


def _ahead(
    job: QueuedJob,
    waiting: Sequence[QueuedJob],
    sources: Mapping[int, SourceLoad],
    runner: RunnerView,
    now: datetime,
) -> list[QueuedJob]:
    """Jobs that would start before it if all slots were free and no source were capped."""
    endless = {key: replace(load, cap=load.cap + len(waiting)) for key, load in sources.items()}
    order = choose(waiting, endless, replace(runner, free_slots=len(waiting)), now)
    return list(takewhile(lambda other: other.id != job.id, order))


def _next(
    waiting: Iterable[QueuedJob], sources: Mapping[int, SourceLoad], runner: RunnerView, now: datetime
) -> QueuedJob | None:
    able = [
        job
        for job in waiting
        if sources[job.source_id].has_room
        and not (job.suspect and runner.runs_suspect)
        and job.template not in runner.backs_off_from
    ]
    if not able:
        return None
    least = min(sources[job.source_id].share for job in able)
    able = [job for job in able if sources[job.source_id].share <= least + LEAD_S]
    lane = min(_aged_lane(job, now) for job in able)
    able = [job for job in able if _aged_lane(job, now) == lane]
    source_id = min((job.source_id for job in able), key=lambda key: (sources[key].share, key))
    return _oldest_or_loaded([job for job in able if job.source_id == source_id], runner, now)


def _aged_lane(job: QueuedJob, now: datetime) -> int:
    return max(0, job.lane - int(_age_s(job, now) / AGEING_S))


def _oldest_or_loaded(jobs: list[QueuedJob], runner: RunnerView, now: datetime) -> QueuedJob:
    window = sorted(jobs, key=lambda job: job.created_at)[:WINDOW]
    oldest = window[0]
    if _age_s(oldest, now) > PATIENCE_S:
        return oldest
    return next((job for job in window if job.checkpoint in runner.loaded), oldest)


def _age_s(job: QueuedJob, now: datetime) -> float:
    return (now - job.created_at).total_seconds()
