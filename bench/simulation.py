"""Discrete-event simulation of the queue: arrivals, runner slots, and a scheduling policy."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from jobs.scheduling import policy

START = datetime(2026, 1, 1, tzinfo=UTC)
HALF_LIFE_S = 600.0  # same as jobs.models.usage.Usage
KEPT_MODELS = 2  # checkpoints that a runner keeps loaded

Choose = Callable[
    [Sequence[policy.QueuedJob], Mapping[int, policy.SourceLoad], policy.RunnerView, datetime],
    list[policy.QueuedJob],
]


@dataclass(frozen=True)
class Arrival:
    source: str
    at_s: float
    takes_s: float = 1.0  # duration in its slot, with its checkpoint loaded
    lane: int = 1
    checkpoint: str = "a"


@dataclass(frozen=True)
class Source:
    weight: float = 1.0
    cap: int = 1000


@dataclass
class Tenant:
    """Load of one source, as the policy sees it."""

    weight: float
    cap: int
    served: float = 0.0
    as_of_s: float = 0.0
    running: dict[int, float] = field(default_factory=dict)

    def load(self, now_s: float) -> policy.SourceLoad:
        served = self.served * self._decay(now_s) + sum(self.running.values())
        return policy.SourceLoad(self.weight, served, len(self.running), self.cap)

    def charge(self, seconds: float, now_s: float) -> None:
        self.served = self.served * self._decay(now_s) + seconds
        self.as_of_s = now_s

    def _decay(self, now_s: float) -> float:
        return 0.5 ** ((now_s - self.as_of_s) / HALF_LIFE_S)


@dataclass
class Machine:
    slots: int
    busy: int = 0
    loaded: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def load(self, checkpoint: str) -> bool:
        """Load a checkpoint, and return whether it was not loaded before."""
        is_new = checkpoint not in self.loaded
        self.loaded[checkpoint] = None
        self.loaded.move_to_end(checkpoint)
        while len(self.loaded) > KEPT_MODELS:
            self.loaded.popitem(last=False)
        return is_new


@dataclass(frozen=True)
class FinishedJob:
    source: str
    arrived_s: float
    started_s: float
    ended_s: float
    changed_models: bool

    @property
    def wait_s(self) -> float:
        return self.started_s - self.arrived_s

    def within(self, until_s: float) -> float:
        """Seconds of slot time used before ``until_s``."""
        return max(0.0, min(self.ended_s, until_s) - self.started_s)


def fifo(
    waiting: Sequence[policy.QueuedJob],
    sources: Mapping[int, policy.SourceLoad],
    runner: policy.RunnerView,
    now: datetime,
) -> list[policy.QueuedJob]:
    """FIFO policy."""
    eligible = [job for job in waiting if sources[job.source_id].has_room]
    return sorted(eligible, key=lambda job: job.created_at)[: runner.free_slots]


def run(
    arrivals: Iterable[Arrival],
    sources: Mapping[str, Source],
    *,
    runners: int = 1,
    slots: int = 4,
    change_s: float = 0.0,
    choose: Choose = policy.choose,
) -> list[FinishedJob]:
    return Simulation(sources, [Machine(slots) for _ in range(runners)], change_s, choose).run(arrivals)


class Simulation:
    def __init__(
        self, sources: Mapping[str, Source], machines: list[Machine], change_s: float, choose: Choose
    ) -> None:
        self.names = list(sources)
        self.tenants = {
            key: Tenant(sources[name].weight, sources[name].cap) for key, name in self._numbered()
        }
        self.machines = machines
        self.change_s = change_s
        self.choose = choose
        self.queues: dict[tuple[int, int], list[policy.QueuedJob]] = defaultdict(list)  # by source and lane
        self.jobs: dict[int, Arrival] = {}
        self.finished: list[FinishedJob] = []
        self.ends: list[tuple[float, int, Machine, int]] = []

    def _numbered(self) -> Iterable[tuple[int, str]]:
        return enumerate(self.names)

    def run(self, arrivals: Iterable[Arrival]) -> list[FinishedJob]:
        arrivals_by_time = sorted(arrivals, key=lambda job: job.at_s)
        self.jobs = dict(enumerate(arrivals_by_time))
        events = [(job.at_s, number) for number, job in self.jobs.items()]
        position = 0
        while position < len(events) or self.ends:
            next_arrival = events[position][0] if position < len(events) else float("inf")
            now_s = min(next_arrival, self.ends[0][0] if self.ends else float("inf"))
            while position < len(events) and events[position][0] <= now_s:
                self._arrive(events[position][1])
                position += 1
            while self.ends and self.ends[0][0] <= now_s:
                self._end(*heapq.heappop(self.ends))
            self._dispatch(now_s)
        return self.finished

    def _arrive(self, number: int) -> None:
        job = self.jobs[number]
        source_id = self.names.index(job.source)
        created = START + timedelta(seconds=job.at_s)
        waiting = policy.QueuedJob(number, source_id, job.lane, created, job.checkpoint, job.takes_s)
        self.queues[source_id, job.lane].append(waiting)

    def _end(self, now_s: float, number: int, machine: Machine, source_id: int) -> None:
        machine.busy -= 1
        tenant = self.tenants[source_id]
        tenant.charge(tenant.running.pop(number), now_s)

    def _dispatch(self, now_s: float) -> None:
        for machine in self.machines:
            # The oldest job of each source and lane, as in jobs.scheduling.queue_snapshot.
            waiting = [
                job for queue in self.queues.values() for job in itertools.islice(queue, policy.WINDOW)
            ]
            if not waiting or machine.busy >= machine.slots:
                continue
            view = policy.RunnerView(machine.slots - machine.busy, frozenset(machine.loaded))
            loads = {key: tenant.load(now_s) for key, tenant in self.tenants.items()}
            for chosen in self.choose(waiting, loads, view, START + timedelta(seconds=now_s)):
                self._begin(chosen, machine, now_s)

    def _begin(self, chosen: policy.QueuedJob, machine: Machine, now_s: float) -> None:
        assert isinstance(chosen.id, int)
        job = self.jobs[chosen.id]
        self.queues[chosen.source_id, chosen.lane].remove(chosen)
        changed = machine.load(job.checkpoint)
        end_s = now_s + job.takes_s + (self.change_s if changed else 0.0)
        machine.busy += 1
        self.tenants[chosen.source_id].running[chosen.id] = job.takes_s
        heapq.heappush(self.ends, (end_s, chosen.id, machine, chosen.source_id))
        self.finished.append(FinishedJob(job.source, job.at_s, now_s, end_s, changed))


def shares(finished: Iterable[FinishedJob], until_s: float) -> dict[str, float]:
    """Share of each source in the slot time before ``until_s``."""
    seconds: Counter[str] = Counter()
    for job in finished:
        seconds[job.source] += job.within(until_s)  # type: ignore[assignment]
    total = sum(seconds.values())
    return {source: seconds[source] / total for source in seconds}


def wait_s(finished: Iterable[FinishedJob], source: str, percent: float) -> float:
    waits = sorted(job.wait_s for job in finished if job.source == source)
    return waits[min(len(waits) - 1, int(len(waits) * percent / 100))] if waits else 0.0
