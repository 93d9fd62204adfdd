"""Current figures of the dashboard. Every query uses an index or a bounded sample of the newest jobs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, QuerySet
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from access.models import BusinessSource
from jobs.models import Job, Lane, Output, OutputKind, Runner, State
from jobs.models.callback import Callback, CallbackState
from jobs.scheduling.queue_snapshot import SEEN_WITHIN
from models_registry.models import ModelFile

RECENT = timedelta(minutes=15)
MAX_SAMPLE = 1000  # newest ended jobs from which throughput and waiting times are computed
DAY = timedelta(days=1)
LAST_IMAGES = 12

Sources = QuerySet[BusinessSource] | None  # None: all sources


def _of(rows: QuerySet[Any], sources: Sources, path: str = "source") -> QuerySet[Any]:
    return rows if sources is None else rows.filter(**{f"{path}__in": sources})


@dataclass(frozen=True)
class LaneLength:
    lane: Lane
    jobs: int
    oldest_s: float | None


def queue(sources: Sources, now: datetime) -> list[LaneLength]:
    """Number of queued jobs and age of the oldest one in seconds, for each lane."""
    queued = _of(Job.objects.filter(state=State.QUEUED), sources).order_by()
    rows = queued.values("lane").annotate(jobs=Count("pk"), oldest=Min("created_at"))
    known = {row["lane"]: (row["jobs"], (now - row["oldest"]).total_seconds()) for row in rows}
    return [LaneLength(lane, *known.get(lane.value, (0, None))) for lane in Lane]


def running(sources: Sources) -> int:
    """Number of running jobs."""
    return _of(Job.objects.filter(state=State.RUNNING), sources).count()


@dataclass(frozen=True)
class Throughput:
    """Succeeded jobs per minute, and percentiles of the waiting time in seconds."""

    per_minute: float
    p50_s: float | None
    p95_s: float | None


def throughput(sources: Sources, now: datetime) -> Throughput:
    """Throughput of the last 15 minutes, or of the newest MAX_SAMPLE jobs in that time."""
    ended = _of(Job.objects.filter(finished_at__gte=now - RECENT), sources).order_by("-finished_at")
    rows = list(ended.values_list("state", "created_at", "started_at", "finished_at")[:MAX_SAMPLE])
    if not rows:
        return Throughput(0.0, None, None)
    span = now - rows[-1][3] if len(rows) == MAX_SAMPLE else RECENT
    succeeded = sum(state == State.SUCCEEDED for state, *_rest in rows)
    waits = sorted((started - created).total_seconds() for _state, created, started, _end in rows if started)
    minutes = max(span.total_seconds(), 1.0) / 60
    return Throughput(succeeded / minutes, percentile(waits, 0.5), percentile(waits, 0.95))


def percentile(ordered: Sequence[float], fraction: float) -> float | None:
    """The value at ``fraction`` (0 to 1) of ascending values; None for an empty sequence."""
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))] if ordered else None


@dataclass(frozen=True)
class RunnerLoad:
    """A runner with its number of running jobs, loaded models and state."""

    runner: Runner
    jobs: int
    loaded: list[str]  # names of the models in its memory
    state: str  # key of RUNNER_STATES
    seen_s: float | None  # seconds since the runner was last seen; None: never

    @property
    def state_name(self) -> str | Promise:
        return RUNNER_STATES[self.state]

    @property
    def share(self) -> int:
        """Occupied slots in percent, from 0 to 100."""
        return min(100, round(100 * self.jobs / self.runner.slots)) if self.runner.slots else 0


RUNNER_STATES: dict[str, str | Promise] = {
    "ready": _("ready"),
    "draining": _("draining"),
    "paused": _("paused"),
    "problem": _("problem"),
    "stalled": _("its workers begin no jobs"),
    "silent": _("unreachable"),
}


def runner_state(runner: Runner, now: datetime) -> str:
    """Key of RUNNER_STATES for this runner."""
    if not runner.enabled:
        return "paused"
    if runner.seen_at is None or now - runner.seen_at >= SEEN_WITHIN:
        return "silent"
    if runner.problem:
        return "problem"
    if runner.hand_over_lost_at is not None:
        return "stalled"
    return "draining" if runner.draining else "ready"


def runner_loads(runners: Iterable[Runner]) -> Iterator[RunnerLoad]:
    """The load of each runner, in two queries for all of them."""
    now, runners = timezone.now(), list(runners)
    running = Job.objects.filter(state=State.RUNNING, runner__isnull=False).order_by()
    counts = dict(running.values_list("runner").annotate(Count("pk")))
    digests = {digest for runner in runners for digest in runner.loaded}
    names = dict(ModelFile.objects.filter(sha256__in=digests).values_list("sha256", "name"))
    for runner in runners:
        loaded = [names.get(digest, digest[:10]) for digest in runner.loaded]
        seen_s = (now - runner.seen_at).total_seconds() if runner.seen_at else None
        yield RunnerLoad(runner, counts.get(runner.pk, 0), loaded, runner_state(runner, now), seen_s)


@dataclass(frozen=True)
class UndeliveredCallbacks:
    retrying: int
    given_up: int  # in the last 24 hours


def undelivered_callbacks(sources: Sources, now: datetime) -> UndeliveredCallbacks:
    """Number of callbacks that are being retried, and of those that failed permanently."""
    callbacks = _of(Callback.objects.all(), sources, "job__source").order_by()
    return UndeliveredCallbacks(
        callbacks.filter(state=CallbackState.PENDING, attempts__gt=0).count(),
        callbacks.filter(state=CallbackState.DEAD, created_at__gte=now - DAY).count(),
    )


def last_images(sources: Sources) -> list[Output]:
    """The first image of each of the newest succeeded jobs, at most LAST_IMAGES; some may have been deleted."""
    succeeded = _of(Job.objects.filter(state=State.SUCCEEDED), sources).order_by("-created_at", "-pk")
    newest = list(succeeded.values_list("pk", flat=True)[:LAST_IMAGES])
    first = Output.objects.filter(job__in=newest, kind=OutputKind.IMAGE, index=0).select_related(
        "job__source"
    )
    fields = ("index", "nsfw", "job__created_at", "job__source__name", "job__source__title")
    return list(first.only(*fields).order_by("-job__created_at", "-job__pk"))
