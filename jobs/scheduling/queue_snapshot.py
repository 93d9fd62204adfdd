"""What the policy sees: the waiting jobs, the sources' loads and the runner, read from the tables."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet, Subquery, Sum
from django.utils import timezone

from access.models import BusinessSource
from jobs.execution import slots
from jobs.execution.runner_inventory import RunnerCapabilities, queued_for
from jobs.models import Backend, Job, Lane, Runner, State, Usage
from jobs.models.usage import FIRST_GUESS_S_PER_COST, mean_seconds_per_cost
from statements import Ask, Statement, given, together

from . import policy

SEEN_WITHIN = timedelta(seconds=15)
COLUMNS = ("source_id", "lane", "created_at", "checkpoint_sha256", "cost_estimate", "runner_deaths")
NO_LOAD = policy.SourceLoad(weight=1, served_s=0, running=0, cap=1)  # the claim itself minds the cap


@dataclass(frozen=True)
class QueueSnapshot:
    waiting: list[policy.QueuedJob]
    sources: dict[int, policy.SourceLoad]
    runner: policy.RunnerView
    now: datetime

    def choose(self) -> list[uuid.UUID]:
        return [job.id for job in policy.choose(self.waiting, self.sources, self.runner, self.now)]  # type: ignore[misc]


@dataclass(frozen=True)
class Glance:
    """What one question tells: enough to see that nothing waits, or one job alone."""

    runner: Runner
    deaths: list[int]  # of runners, that each job on this one has seen
    queued: list[Job]  # two at the most


def glance(runner_name: str) -> Glance | None:
    return glanced(together(*ask_glance(runner_name)))


def ask_glance(runner_name: str) -> tuple[Ask[Any], ...]:
    return tuple(statement.ask(name=runner_name) for statement in (_RUNNER, _DEATHS, _TWO_QUEUED))


def glanced(answers: Sequence[Any]) -> Glance | None:
    runners, deaths, queued = answers
    return Glance(runners[0], deaths, queued) if runners else None


_RUNNER = Statement(lambda: Runner.objects.filter(name=given("name")).order_by())
_DEATHS = Statement(
    lambda: (
        Job.objects.filter(runner__name=given("name"), state=State.RUNNING)
        .values_list("runner_deaths", flat=True)
        .order_by()
    )
)
_TWO_QUEUED = Statement(
    lambda: (
        Job.objects.filter(
            state=State.QUEUED,
            source__enabled=True,
            backend=Subquery(Runner.objects.filter(name=given("name")).order_by().values("backend")),
        )
        .only(*COLUMNS)
        .order_by()[:2]
    )
)


def read(seen: Glance, workers: int) -> QueueSnapshot:
    """For a runner whose cluster has so many workers: a job without a worker to follow it is better left waiting."""
    now, runner = timezone.now(), seen.runner
    view = runner_view(runner, seen.deaths, workers, now)
    if view.free_slots <= 0 or not view.takes_work:
        return QueueSnapshot([], {}, view, now)
    if lone := _lone_job(seen):
        return QueueSnapshot(
            [_as_waiting(lone, FIRST_GUESS_S_PER_COST)], {lone.source_id: NO_LOAD}, view, now
        )
    usages = {usage.source_id: usage for usage in Usage.objects.all()}
    rate = mean_seconds_per_cost(usages.values())
    return QueueSnapshot(list(_waiting(rate, runner)), _loads(usages, rate, now), view, now)


def takes(seen: Glance, workers: int, job_id: uuid.UUID) -> bool:
    """Whether the runner takes this job, because it is the only one that waits for it."""
    lone = _lone_job(seen)
    return lone is not None and lone.pk == job_id and read(seen, workers).choose() == [job_id]


def _lone_job(seen: Glance) -> Job | None:
    """The only one that waits for it, if there is only one: then nothing has to be weighed against it."""
    if seen.runner.backend != Backend.PIPELINE:
        return None  # whether it has all that the job needs has to be weighed
    return seen.queued[0] if len(seen.queued) == 1 else None


def explain(job: Job, runner: Runner, workers: int) -> policy.Explanation:
    """Why this queued job does not run on this runner yet."""
    now = timezone.now()
    usages = {usage.source_id: usage for usage in Usage.objects.all()}
    rate = mean_seconds_per_cost(usages.values())
    if job.backend != runner.backend or not RunnerCapabilities(runner)(job):
        return policy.Explanation(policy.Reason.NO_RUNNER)
    if job.key_id in slots.full_keys():
        return policy.Explanation(policy.Reason.KEY_AT_CAP)
    waiting = list(_waiting(rate, runner))
    asked = _as_waiting(job, rate)
    if all(other.id != job.pk for other in waiting):
        waiting.append(asked)
    view = runner_view(runner, _DEATHS.all(name=runner.name), workers, now)
    return policy.explain(asked, waiting, _loads(usages, rate, now), view, now)


def runner_view(runner: Runner, deaths: list[int], workers: int, now: datetime) -> policy.RunnerView:
    seen = runner.seen_at is not None and now - runner.seen_at < SEEN_WITHIN
    return policy.RunnerView(
        free_slots=min(runner.slots, workers) - len(deaths),
        loaded=frozenset(runner.loaded),
        runs_suspect=any(deaths),
        takes_work=runner.enabled and not runner.draining and not runner.problem and seen,
    )


def _waiting(rate: float, runner: Runner) -> Iterator[policy.QueuedJob]:
    """The oldest of every source and lane that has any. The rest cannot be next, and may be very many."""
    queued = queued_for(runner, Job.objects.filter(state=State.QUEUED))
    if full := slots.full_keys():
        queued = queued.exclude(key__in=full)
    able = RunnerCapabilities(runner)
    has = {f"has_{lane}": Exists(queued.filter(source=OuterRef("pk"), lane=lane)) for lane in Lane.values}
    for source in BusinessSource.objects.filter(enabled=True).only("pk").annotate(**has):
        for lane in Lane.values:
            if getattr(source, f"has_{lane}"):
                for job in filter(able, _oldest(queued, source.pk, lane, runner.backend)):
                    yield _as_waiting(job, rate)


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
    running = Job.objects.filter(state=State.RUNNING)
    counts = Counter(running.values_list("source_id", flat=True))
    costs = dict(running.values_list("source_id").order_by().annotate(Sum("cost_estimate")))
    return {
        source.pk: policy.SourceLoad(
            weight=source.weight,
            served_s=_served_s(usages.get(source.pk), now) + float(costs.get(source.pk, Decimal(0))) * rate,
            running=counts[source.pk],
            cap=source.max_concurrent_jobs,
        )
        for source in BusinessSource.objects.all()
    }


def _served_s(usage: Usage | None, now: datetime) -> float:
    return usage.served * usage.decay(now) if usage else 0.0
