"""The metrics of the platform: those of queue, jobs and runners from the database, those of requests from the web processes."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import accumulate

from django.conf import settings
from django.db.models import Count, Min
from django.utils import timezone
from django_q.models import OrmQ
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from jobs.models import Job, Lane, Runner, State
from jobs.models.callback import Callback, CallbackState
from jobs.scheduling.queue_snapshot import SEEN_WITHIN
from telemetry import counters
from telemetry.models import Tally

from .counting import BUCKETS_S, INFINITY, count_what_ended

PREFIX = "atelier_"
COUNTERS = {
    "jobs_ended": "Jobs that came to their end",
    "device_seconds": "Seconds of a device that jobs took",
    "cost_units": "Cost units that were settled",
    "callback_attempts": "Times that a callback was sent",
}
HISTOGRAMS = {
    "job_wait_seconds": "From admission to the start of the last attempt",
    "job_run_seconds": "From the start of the last attempt to the end",
}
RUNNER_COUNTERS = {
    "steps_total": "Denoising steps of single pictures",
    "calls_total": "Calls of the denoising network",
    "rows_total": "Pictures that those calls served; by calls: the rows of a batch",
    "loads_total": "Model files read into memory",
}

Labels = dict[str, str]
Figures = list[tuple[Labels, float]]


class Platform(Collector):
    def collect(self) -> Iterator[Metric]:
        count_what_ended()
        yield from _queue()
        yield from _runners()
        yield from _waiting_for_others()
        yield from _tallies()


def exposition() -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Platform())
    registry.register(counters.collector())
    return generate_latest(registry)


def _queue() -> Iterator[Metric]:
    rows = Job.objects.filter(state=State.QUEUED).order_by().values_list("lane", "backend")
    found = {
        (lane, backend): (count, oldest)
        for lane, backend, count, oldest in rows.annotate(Count("pk"), Min("created_at"))
    }
    lanes: dict[tuple[int, str], Labels] = {
        (lane, backend): {"lane": Lane(lane).name.lower(), "backend": backend}
        for lane, backend in {*found, *((lane, "pipeline") for lane in Lane.values)}
    }
    now = timezone.now()
    depths: Figures = [(labels, found.get(key, (0, now))[0]) for key, labels in lanes.items()]
    ages: Figures = [
        (labels, (now - found.get(key, (0, now))[1]).total_seconds()) for key, labels in lanes.items()
    ]
    yield _gauge("queued_jobs", "Jobs that wait", depths)
    yield _gauge("queue_oldest_seconds", "How long the oldest of them has waited", ages)


def _runners() -> Iterator[Metric]:
    now = timezone.now()
    runners = list(Runner.objects.defer("token", "nodes"))
    running = dict(
        Job.objects.filter(state=State.RUNNING).order_by().values_list("runner").annotate(Count("pk"))
    )

    def each(figure: Callable[[Runner], float]) -> Figures:
        return [({"runner": runner.name, "backend": runner.backend}, figure(runner)) for runner in runners]

    def is_up(runner: Runner) -> bool:
        return runner.seen_at is not None and now - runner.seen_at < SEEN_WITHIN and not runner.problem

    yield _gauge("runner_up", "Whether it was seen lately, and has no problem", each(is_up))
    yield _gauge(
        "runner_takes_work", "Enabled and not draining", each(lambda r: r.enabled and not r.draining)
    )
    yield _gauge("runner_slots", "Jobs that it can hold", each(lambda r: r.slots))
    yield _gauge("runner_running_jobs", "Jobs that it holds", each(lambda r: running.get(r.pk, 0)))
    yield _gauge("runner_loaded_models", "Model files in its memory", each(lambda r: len(r.loaded)))
    yield _gauge("runner_memory_bytes", "Memory in use", each(lambda r: r.memory_bytes))
    for name, text in RUNNER_COUNTERS.items():
        yield _counter(f"runner_{name.removesuffix('_total')}", text, each(lambda r: r.figures.get(name, 0)))  # noqa: B023


def _waiting_for_others() -> Iterator[Metric]:
    states = (CallbackState.PENDING, CallbackState.SENDING, CallbackState.DEAD)
    counts = dict(
        Callback.objects.filter(state__in=states).order_by().values_list("state").annotate(Count("pk"))
    )
    figures: Figures = [({"state": str(state)}, counts.get(state, 0)) for state in states]
    yield _gauge("callbacks", "Callbacks that have not arrived", figures)
    yield _gauge("background_tasks", "Tasks on the background cluster's list", [({}, OrmQ.objects.count())])
    if settings.DATA_DIR.exists():
        free = shutil.disk_usage(settings.DATA_DIR).free
        yield _gauge("disk_free_bytes", "Room below DATA_DIR on this host", [({}, free)])


def _tallies() -> Iterator[Metric]:
    kept: dict[str, Figures] = defaultdict(list)
    for name, labels, value in Tally.objects.values_list("name", "labels", "value"):
        kept[name].append((json.loads(labels), value))
    for name, text in COUNTERS.items():
        yield _counter(name, text, kept[name])
    for name, text in HISTOGRAMS.items():
        yield _histogram(name, text, kept[f"{name}_bucket"], kept[f"{name}_sum"])


def _gauge(name: str, text: str, figures: Figures) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, text, labels=list(figures[0][0]) if figures else [])
    return _filled(family, figures)


def _counter(name: str, text: str, figures: Figures) -> Metric:
    family = CounterMetricFamily(PREFIX + name, text, labels=list(figures[0][0]) if figures else [])
    return _filled(family, figures)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, figures: Figures) -> Metric:
    for labels, value in figures:
        family.add_metric(list(labels.values()), float(value))
    return family


def _histogram(name: str, text: str, buckets: Figures, sums: Figures) -> Metric:
    """Tallies count each bucket for itself; Prometheus wants each with all before it."""
    family = HistogramMetricFamily(PREFIX + name, text, labels=["lane"])
    limits = [*(f"{limit:g}" for limit in BUCKETS_S), INFINITY]
    counted = {(labels["lane"], labels["le"]): value for labels, value in buckets}
    for labels, total in sums:
        lane = labels["lane"]
        heights = accumulate(counted.get((lane, limit), 0.0) for limit in limits)
        family.add_metric([lane], list(zip(limits, heights, strict=True)), total)
    return family
