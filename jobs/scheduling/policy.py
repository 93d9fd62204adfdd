"""Which waiting jobs start next. One pure function decides, and another says why a job does not start yet."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import takewhile

LEAD_S = 60.0  # a source so far ahead of another has no precedence over it, by no lane and no age
AGEING_S = 60.0  # a job rises by one lane for every minute that it waits
WINDOW = 32  # among so many of a source's oldest jobs, one whose checkpoint is loaded may go first...
PATIENCE_S = 30.0  # ...unless the oldest has waited for longer than this


@dataclass(frozen=True)
class QueuedJob:
    id: Hashable
    source_id: int
    lane: int
    created_at: datetime
    checkpoint: str  # sha256
    expected_s: float = 1.0  # device-seconds
    suspect: bool = False  # a runner died under it


@dataclass(frozen=True)
class SourceLoad:
    weight: float
    served_s: float  # device-seconds, decayed; with those that its running jobs are expected to take
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


@dataclass(frozen=True)
class RunnerView:
    free_slots: int
    loaded: frozenset[str] = frozenset()
    runs_suspect: bool = False
    takes_work: bool = True  # enabled, not draining, and seen lately

    def with_one_more(self, job: QueuedJob) -> RunnerView:
        return replace(
            self,
            free_slots=self.free_slots - 1,
            loaded=self.loaded | {job.checkpoint},
            runs_suspect=self.runs_suspect or job.suspect,
        )


class Reason(StrEnum):
    NEXT = "next"  # it starts now
    NO_RUNNER = "no_runner"
    NO_FREE_SLOT = "no_free_slot"
    SOURCE_AT_CAP = "source_at_cap"
    KEY_AT_CAP = "key_at_cap"  # told by the board: such jobs are not weighed
    SUSPECT_WAITS = "suspect_waits"
    BEHIND_OTHERS = "behind_others"


@dataclass(frozen=True)
class Explanation:
    reason: Reason
    ahead: int = 0  # jobs that would start before it
    ahead_s: float = 0.0  # device-seconds that those are expected to take


def choose(
    waiting: Sequence[QueuedJob], sources: Mapping[int, SourceLoad], runner: RunnerView, now: datetime
) -> list[QueuedJob]:
    """The jobs to start now, the most urgent first; at most as many as the runner has free slots.

    In this order: sources that are not far ahead of another that waits; lane, with ageing; the least-served source; a
    loaded checkpoint, within bounds; the oldest. Without the first, the backlog of a source that floods the queue would
    grow old, and go before the newcomers of all others.
    """
    left, loads, chosen = list(waiting), dict(sources), []
    while runner.takes_work and runner.free_slots > 0:
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
    """Why this job is not running yet, with the same eyes as ``choose``."""
    if not runner.takes_work:
        return Explanation(Reason.NO_RUNNER)
    if not sources[job.source_id].has_room:
        return Explanation(Reason.SOURCE_AT_CAP)
    if job.suspect and runner.runs_suspect:
        return Explanation(Reason.SUSPECT_WAITS)
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
    """Those before it if every slot were free and nothing were capped."""
    endless = {key: replace(load, cap=load.cap + len(waiting)) for key, load in sources.items()}
    order = choose(waiting, endless, replace(runner, free_slots=len(waiting)), now)
    return list(takewhile(lambda other: other.id != job.id, order))


def _next(
    waiting: Iterable[QueuedJob], sources: Mapping[int, SourceLoad], runner: RunnerView, now: datetime
) -> QueuedJob | None:
    able = [
        job
        for job in waiting
        if sources[job.source_id].has_room and not (job.suspect and runner.runs_suspect)
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
