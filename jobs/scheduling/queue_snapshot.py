"""A snapshot of the queue for the policy: the waiting jobs, the load of each source, and the runner."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from access.models import AccessKey, BusinessSource
from jobs.execution import back_off, slots
from jobs.execution.runner_inventory import RunnerCapabilities, queued_for
from jobs.models import Backend, Job, Lane, Runner, State, Usage
from jobs.models.usage import mean_seconds_per_cost

from . import policy, trainings

SEEN_WITHIN = timedelta(seconds=15)
COLUMNS = (
    "source_id",
    "lane",
    "created_at",
    "checkpoint_sha256",
    "cost_estimate",
    "runner_deaths",
    "workflow",
)


@dataclass(frozen=True)
class QueueSnapshot:
    """The arguments of ``policy.choose``."""

    waiting: list[policy.QueuedJob]
    sources: dict[int, policy.SourceLoad]
    runner: policy.RunnerView
    now: datetime

    def choose(self) -> list[uuid.UUID]:
        return [job.id for job in policy.choose(self.waiting, self.sources, self.runner, self.now)]  # type: ignore[misc]


def read(runner: Runner, workers: int) -> QueueSnapshot:
    """The snapshot for a runner whose cluster has so many workers.

    The queue is not read while the runner takes no job.
    """
    now, running = timezone.now(), _running_jobs(runner)
    view = _runner_view(runner, running, workers, now)
    if view.free_slots <= 0 or not view.is_open:
        return QueueSnapshot([], {}, view, now)
    queued = _queued_for(runner, running)
    if view.backs_off_from:  # else they would fill the window
        queued = queued.exclude(workflow_id__in=list(view.backs_off_from))
    sources = _sources(queued)
    oldest = list(_oldest_of_each(sources, queued, runner))
    if not oldest:
        return QueueSnapshot([], {}, view, now)
    served, rate = served_and_rate(runner.backend, now)
    loads = _loads(sources, running, served, rate)
    return QueueSnapshot([_as_waiting(job, rate) for job in oldest], loads, view, now)


def explain(job: Job, runner: Runner, workers: int) -> policy.Explanation:
    """Why this queued job does not run on this runner yet."""
    now, running = timezone.now(), _running_jobs(runner)
    if job.backend != runner.backend or not RunnerCapabilities(runner)(job):
        return policy.Explanation(policy.Reason.NO_RUNNER)
    if job.key_id in _full_keys(running):
        return policy.Explanation(policy.Reason.KEY_AT_CAP)
    served, rate = served_and_rate(runner.backend, now)
    queued = _queued_for(runner, running)
    sources = _sources(queued)
    waiting = [_as_waiting(other, rate) for other in _oldest_of_each(sources, queued, runner)]
    asked = _as_waiting(job, rate)
    if all(other.id != job.pk for other in waiting):
        waiting.append(asked)
    view = _runner_view(runner, running, workers, now)
    return policy.explain(asked, waiting, _loads(sources, running, served, rate), view, now)


class _RunningJob(NamedTuple):
    source_id: int
    key_id: int | None
    runner_id: int | None
    runner_deaths: int
    cost_estimate: Decimal


def _running_jobs(runner: Runner) -> list[_RunningJob]:
    """Those that share slots with the jobs of this runner: no more than the slots of all runners."""
    rows = Job.objects.filter(slots.alike(runner.backend), state=State.RUNNING).order_by()
    return [_RunningJob(*row) for row in rows.values_list(*_RunningJob._fields)]


def served_and_rate(backend: str, now: datetime) -> tuple[dict[int, float], float]:
    """Recent device-seconds by source, and device-seconds per cost unit, of the jobs that share slots with a backend's."""
    if backend == Backend.TRAINING:
        return trainings.served(now)
    usages = list(Usage.objects.all())
    return {usage.source_id: usage.served * usage.decay(now) for usage in usages}, mean_seconds_per_cost(
        usages
    )


def _runner_view(
    runner: Runner, running: list[_RunningJob], workers: int, now: datetime
) -> policy.RunnerView:
    """A job takes a slot of the runner and a worker of the cluster."""
    deaths = [job.runner_deaths for job in running if job.runner_id == runner.pk]
    seen = runner.seen_at is not None and now - runner.seen_at < SEEN_WITHIN
    return policy.RunnerView(
        free_slots=min(runner.slots, workers) - len(deaths),
        loaded=frozenset(runner.loaded),
        runs_suspect=any(deaths),
        backs_off_from=_backs_off_from(runner),
        closed=trainings.closed(now) if runner.backend == Backend.TRAINING else None,
        takes_work=runner.enabled and not runner.draining and not runner.problem and seen,
    )


def _backs_off_from(runner: Runner) -> frozenset[Hashable]:
    if runner.backend != Backend.COMFYUI:
        return frozenset()
    return frozenset(back_off.active(runner).values_list("template_id", flat=True))


def _full_keys(running: list[_RunningJob]) -> set[int]:
    """Keys that are at their concurrency limit."""
    jobs = Counter(job.key_id for job in running if job.key_id is not None)
    if not jobs:
        return set()
    limits = AccessKey.objects.filter(pk__in=jobs, max_concurrent_jobs__isnull=False).order_by()
    return {
        pk
        for pk, limit in limits.values_list("pk", "max_concurrent_jobs")
        if limit is not None and jobs[pk] >= limit
    }


def _queued_for(runner: Runner, running: list[_RunningJob]) -> QuerySet[Job]:
    queued = queued_for(runner, Job.objects.filter(state=State.QUEUED))
    full = _full_keys(running)
    return queued.exclude(key__in=full) if full else queued


def _sources(queued: QuerySet[Job]) -> list[BusinessSource]:
    """All sources; for each lane, ``has_<lane>`` says whether any job of ``queued`` is theirs."""
    has = {f"has_{lane}": Exists(queued.filter(source=OuterRef("pk"), lane=lane)) for lane in Lane.values}
    sources = BusinessSource.objects.only("enabled", "weight", "max_concurrent_jobs").order_by()
    return list(sources.annotate(**has))


def _oldest_of_each(sources: list[BusinessSource], queued: QuerySet[Job], runner: Runner) -> Iterator[Job]:
    """The oldest queued jobs of each source and lane, at most ``policy.WINDOW`` of each.

    The others cannot be next, so that the cost does not depend on the length of the queue.
    """
    able = RunnerCapabilities(runner)
    if runner.backend == Backend.COMFYUI:
        queued = queued.select_related("workflow").only(
            *COLUMNS, "files", "request", "workflow__name", "workflow__requirements"
        )
    else:
        queued = queued.only(*COLUMNS)
    for source in sources:
        for lane in Lane.values:
            if source.enabled and getattr(source, f"has_{lane}"):
                oldest = queued.filter(source=source, lane=lane).order_by("created_at")
                yield from filter(able, oldest[: policy.WINDOW])


def _as_waiting(job: Job, rate: float) -> policy.QueuedJob:
    return policy.QueuedJob(
        id=job.pk,
        source_id=job.source_id,
        lane=job.lane,
        created_at=job.created_at,
        checkpoint=job.checkpoint_sha256,
        expected_s=float(job.cost_estimate) * rate,
        suspect=job.runner_deaths > 0,
        template=job.workflow_id,
    )


def _loads(
    sources: list[BusinessSource],
    running: list[_RunningJob],
    served: dict[int, float],
    rate: float,
) -> dict[int, policy.SourceLoad]:
    jobs = Counter(job.source_id for job in running)
    costs: defaultdict[int, float] = defaultdict(float)
    for job in running:
        costs[job.source_id] += float(job.cost_estimate)
    return {
        source.pk: policy.SourceLoad(
            weight=source.weight,
            served_s=served.get(source.pk, 0.0) + costs[source.pk] * rate,
            running=jobs[source.pk],
            cap=source.max_concurrent_jobs,
        )
        for source in sources
    }
