"""What the platform does just now, for the dashboard. Every question is answered from an index, or from a bounded sample."""

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
from jobs.models import Job, Lane, Runner, State
from jobs.models.callback import Callback, CallbackState
from jobs.scheduling.queue_snapshot import SEEN_WITHIN
from models_registry.models import ModelFile

LATELY = timedelta(minutes=15)
SAMPLE = 1000  # ends of jobs that the rate and the waits are taken from
A_DAY = timedelta(days=1)

Sources = QuerySet[BusinessSource] | None  # None: all of them


def _of(rows: QuerySet[Any], sources: Sources, path: str = "source") -> QuerySet[Any]:
    return rows if sources is None else rows.filter(**{f"{path}__in": sources})


@dataclass(frozen=True)
class LaneLength:
    lane: Lane
    jobs: int
    oldest_s: float | None


def queue(sources: Sources, now: datetime) -> list[LaneLength]:
    queued = _of(Job.objects.filter(state=State.QUEUED), sources).order_by()
    rows = queued.values("lane").annotate(jobs=Count("pk"), oldest=Min("created_at"))
    known = {row["lane"]: (row["jobs"], (now - row["oldest"]).total_seconds()) for row in rows}
    return [LaneLength(lane, *known.get(lane.value, (0, None))) for lane in Lane]


def running(sources: Sources) -> int:
    return _of(Job.objects.filter(state=State.RUNNING), sources).count()


@dataclass(frozen=True)
class Pace:
    """Of the last quarter of an hour, or of as many jobs as were looked at."""

    per_minute: float
    p50_s: float | None
    p95_s: float | None


def pace(sources: Sources, now: datetime) -> Pace:
    ended = _of(Job.objects.filter(finished_at__gte=now - LATELY), sources).order_by("-finished_at")
    rows = list(ended.values_list("state", "created_at", "started_at", "finished_at")[:SAMPLE])
    if not rows:
        return Pace(0.0, None, None)
    span = now - rows[-1][3] if len(rows) == SAMPLE else LATELY
    drawn = sum(state == State.SUCCEEDED for state, *_rest in rows)
    waits = sorted((started - created).total_seconds() for _state, created, started, _end in rows if started)
    minutes = max(span.total_seconds(), 1.0) / 60
    return Pace(drawn / minutes, percentile(waits, 0.5), percentile(waits, 0.95))


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The value that this share of them does not pass."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


@dataclass(frozen=True)
class RunnerLoad:
    runner: Runner
    jobs: int
    loaded: list[str]  # names of the models in its memory
    state: str  # of RUNNER_STATES
    seen_s: float | None  # seconds ago

    @property
    def state_name(self) -> str | Promise:
        return RUNNER_STATES[self.state]

    @property
    def share(self) -> int:
        """Per cent of its slots."""
        return min(100, round(100 * self.jobs / self.runner.slots)) if self.runner.slots else 0


RUNNER_STATES: dict[str, str | Promise] = {
    "ready": _("ready"),
    "draining": _("draining"),
    "paused": _("paused"),
    "problem": _("problem"),
    "silent": _("not seen"),
}


def runner_state(runner: Runner, now: datetime) -> str:
    if not runner.enabled:
        return "paused"
    if runner.seen_at is None or now - runner.seen_at >= SEEN_WITHIN:
        return "silent"
    if runner.problem:
        return "problem"
    return "draining" if runner.draining else "ready"


def runners(rows: Iterable[Runner]) -> Iterator[RunnerLoad]:
    now, known = timezone.now(), list(rows)
    taken = Job.objects.filter(state=State.RUNNING, runner__isnull=False).order_by()
    counts = dict(taken.values_list("runner").annotate(Count("pk")))
    digests = {digest for runner in known for digest in runner.loaded}
    names = dict(ModelFile.objects.filter(sha256__in=digests).values_list("sha256", "name"))
    for runner in known:
        loaded = [names.get(digest, digest[:10]) for digest in runner.loaded]
        seen_s = (now - runner.seen_at).total_seconds() if runner.seen_at else None
        yield RunnerLoad(runner, counts.get(runner.pk, 0), loaded, runner_state(runner, now), seen_s)


@dataclass(frozen=True)
class Undelivered:
    retrying: int
    given_up: int  # of the last day


def undelivered(sources: Sources, now: datetime) -> Undelivered:
    callbacks = _of(Callback.objects.all(), sources, "job__source").order_by()
    return Undelivered(
        callbacks.filter(state=CallbackState.PENDING, attempts__gt=0).count(),
        callbacks.filter(state=CallbackState.DEAD, created_at__gte=now - A_DAY).count(),
    )
