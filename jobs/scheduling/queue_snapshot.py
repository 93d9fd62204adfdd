"""A snapshot of the queue for the policy: the waiting jobs, the load of each source, and the runner."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Exists, OuterRef, QuerySet, Sum
from django.utils import timezone

from access.models import BusinessSource
from jobs.execution import slots
from jobs.execution.runner_inventory import RunnerCapabilities, queued_for
from jobs.models import Backend, Job, Lane, Runner, State, Usage
from jobs.models.usage import mean_seconds_per_cost

from . import policy

SEEN_WITHIN = timedelta(seconds=15)
COLUMNS = ("source_id", "lane", "created_at", "checkpoint_sha256", "cost_estimate", "runner_deaths")


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
    now = timezone.now()
    view = runner_view(runner, workers, now)
    if view.free_slots <= 0 or not view.takes_work:
        return QueueSnapshot([], {}, view, now)
    oldest = list(_oldest_of_each(runner))
    if not oldest:
        return QueueSnapshot([], {}, view, now)
    usages = {usage.source_id: usage for usage in Usage.objects.all()}
    rate = mean_seconds_per_cost(usages.values())
    return QueueSnapshot([_as_waiting(job, rate) for job in oldest], _loads(usages, rate, now), view, now)


def explain(job: Job, runner: Runner, workers: int) -> policy.Explanation:
    """Why this queued job does not run on this runner yet."""
    now = timezone.now()
    usages = {usage.source_id: usage for usage in Usage.objects.all()}
    rate = mean_seconds_per_cost(usages.values())
    if job.backend != runner.backend or not RunnerCapabilities(runner)(job):
        return policy.Explanation(policy.Reason.NO_RUNNER)
    if job.key_id in slots.full_keys():
        return policy.Explanation(policy.Reason.KEY_AT_CAP)
    waiting = [_as_waiting(other, rate) for other in _oldest_of_each(runner)]
    asked = _as_waiting(job, rate)
    if all(other.id != job.pk for other in waiting):
        waiting.append(asked)
    view = runner_view(runner, workers, now)
    return policy.explain(asked, waiting, _loads(usages, rate, now), view, now)


def runner_view(runner: Runner, workers: int, now: datetime) -> policy.RunnerView:
    """A job takes a slot of the runner and a worker of the cluster."""
    running = Job.objects.filter(runner=runner, state=State.RUNNING).order_by()
    deaths = list(running.values_list("runner_deaths", flat=True))
    seen = runner.seen_at is not None and now - runner.seen_at < SEEN_WITHIN
    return policy.RunnerView(
        free_slots=min(runner.slots, workers) - len(deaths),
        loaded=frozenset(runner.loaded),
        runs_suspect=any(deaths),
        takes_work=runner.enabled and not runner.draining and not runner.problem and seen,
    )


def _oldest_of_each(runner: Runner) -> Iterator[Job]:
    """The oldest queued jobs of each source and lane, at most ``policy.WINDOW`` of each.

    The others cannot be next, so that the cost does not depend on the length of the queue.
    """
    queued = queued_for(runner, Job.objects.filter(state=State.QUEUED))
    if full := slots.full_keys():
        queued = queued.exclude(key__in=full)
    able = RunnerCapabilities(runner)
    has = {f"has_{lane}": Exists(queued.filter(source=OuterRef("pk"), lane=lane)) for lane in Lane.values}
    for source in BusinessSource.objects.filter(enabled=True).only("pk").annotate(**has):
        for lane in Lane.values:
            if getattr(source, f"has_{lane}"):
                yield from filter(able, _oldest(queued, source.pk, lane, runner.backend))


def _oldest(queued: QuerySet[Job], source_id: int, lane: int, backend: str) -> Iterator[Job]:
    jobs = queued.filter(source_id=source_id, lane=lane)
    if backend == Backend.COMFYUI:
        jobs = jobs.select_related("workflow")
        columns: tuple[str, ...] = (*COLUMNS, "files", "request", "workflow")
    else:
        columns = COLUMNS
    return jobs.only(*columns).order_by("created_at")[: policy.WINDOW].iterator()


def _as_waiting(job: Job, rate: float) -> policy.QueuedJob:
    return policy.QueuedJob(
        id=job.pk,
        source_id=job.source_id,
        lane=job.lane,
        created_at=job.created_at,
        checkpoint=job.checkpoint_sha256,
        expected_s=float(job.cost_estimate) * rate,
        suspect=job.runner_deaths > 0,
    )


def _loads(usages: dict[int, Usage], rate: float, now: datetime) -> dict[int, policy.SourceLoad]:
    by_source = Job.objects.filter(state=State.RUNNING).order_by().values_list("source_id")
    running = {pk: (jobs, cost) for pk, jobs, cost in by_source.annotate(Count("pk"), Sum("cost_estimate"))}
    loads = {}
    for source in BusinessSource.objects.only("weight", "max_concurrent_jobs"):
        jobs, cost = running.get(source.pk, (0, 0))
        loads[source.pk] = policy.SourceLoad(
            weight=source.weight,
            served_s=_served_s(usages.get(source.pk), now) + float(cost) * rate,
            running=jobs,
            cap=source.max_concurrent_jobs,
        )
    return loads


def _served_s(usage: Usage | None, now: datetime) -> float:
    return usage.served * usage.decay(now) if usage else 0.0
