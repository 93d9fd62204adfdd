"""Prometheus metrics: queue, jobs and runners from the database, requests from the web processes."""

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

from .counting import BUCKETS_S, INFINITY, count_ended_rows

PREFIX = "atelier_"
COUNTERS = {
    "jobs_ended": "Ended jobs",
    "device_seconds": "Device seconds used by jobs",
    "cost_units": "Settled cost units",
    "callback_attempts": "Delivery attempts of callbacks",
}
HISTOGRAMS = {
    "job_wait_seconds": "Seconds from admission to the start of the last attempt",
    "job_run_seconds": "Seconds from the start of the last attempt to the end",
}
RUNNER_COUNTERS = {
    "steps_total": "Denoising steps, counted per image",
    "calls_total": "Calls of the UNet",
    "rows_total": "Batch rows of those calls; divided by calls_total: the mean batch size",
    "loads_total": "Model files read into memory",
}

Labels = dict[str, str]
Figures = list[tuple[Labels, float]]


class PlatformCollector(Collector):
    """Prometheus collector of the figures in the database."""

    def collect(self) -> Iterator[Metric]:
        count_ended_rows()
        yield from _queue()
        yield from _runners()
        yield from _backlog()
        yield from _tallies()


def exposition() -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(PlatformCollector())
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
    yield _gauge("queued_jobs", "Queued jobs", depths)
    yield _gauge("queue_oldest_seconds", "Age of the oldest queued job in seconds", ages)


def _runners() -> Iterator[Metric]:
    now = timezone.now()
    runners = list(Runner.objects.defer("token", "server_secret", "nodes"))
    running = dict(
        Job.objects.filter(state=State.RUNNING).order_by().values_list("runner").annotate(Count("pk"))
    )

    def each(figure: Callable[[Runner], float]) -> Figures:
        return [({"runner": runner.name, "backend": runner.backend}, figure(runner)) for runner in runners]

    def is_up(runner: Runner) -> bool:
        return runner.seen_at is not None and now - runner.seen_at < SEEN_WITHIN and not runner.problem

    yield _gauge("runner_up", "Whether the runner was seen recently and reports no problem", each(is_up))
    yield _gauge(
        "runner_takes_work",
        "Whether the runner is enabled and not draining",
        each(lambda r: r.enabled and not r.draining),
    )
    yield _gauge("runner_slots", "Capacity of the runner in jobs", each(lambda r: r.slots))
    yield _gauge("runner_running_jobs", "Running jobs of the runner", each(lambda r: running.get(r.pk, 0)))
    yield _gauge("runner_loaded_models", "Model files loaded by the runner", each(lambda r: len(r.loaded)))
    yield _gauge("runner_memory_bytes", "Memory used by the runner", each(lambda r: r.memory_bytes))
    for name, text in RUNNER_COUNTERS.items():
        yield _counter(f"runner_{name.removesuffix('_total')}", text, each(lambda r: r.figures.get(name, 0)))  # noqa: B023


def _backlog() -> Iterator[Metric]:
    states = (CallbackState.PENDING, CallbackState.SENDING, CallbackState.DEAD)
    counts = dict(
        Callback.objects.filter(state__in=states).order_by().values_list("state").annotate(Count("pk"))
    )
    figures: Figures = [({"state": str(state)}, counts.get(state, 0)) for state in states]
    yield _gauge("callbacks", "Undelivered callbacks", figures)
    yield _gauge("background_tasks", "Queued tasks of the background cluster", [({}, OrmQ.objects.count())])
    if settings.DATA_DIR.exists():
        free = shutil.disk_usage(settings.DATA_DIR).free
        yield _gauge("disk_free_bytes", "Free disk space below DATA_DIR on this host", [({}, free)])


def _tallies() -> Iterator[Metric]:
    values_by_name: dict[str, Figures] = defaultdict(list)
    for name, labels, value in Tally.objects.values_list("name", "labels", "value"):
        values_by_name[name].append((json.loads(labels), value))
    for name, text in COUNTERS.items():
        yield _counter(name, text, values_by_name[name])
    for name, text in HISTOGRAMS.items():
        yield _histogram(name, text, values_by_name[f"{name}_bucket"], values_by_name[f"{name}_sum"])


def _gauge(name: str, text: str, figures: Figures) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, text, labels=list(figures[0][0]) if figures else [])
    return _with_samples(family, figures)


def _counter(name: str, text: str, figures: Figures) -> Metric:
    family = CounterMetricFamily(PREFIX + name, text, labels=list(figures[0][0]) if figures else [])
    return _with_samples(family, figures)


def _with_samples(family: GaugeMetricFamily | CounterMetricFamily, figures: Figures) -> Metric:
    for labels, value in figures:
        family.add_metric(list(labels.values()), float(value))
    return family


def _histogram(name: str, text: str, buckets: Figures, sums: Figures) -> Metric:
    """Convert per-bucket tallies to the cumulative buckets that Prometheus expects."""
    family = HistogramMetricFamily(PREFIX + name, text, labels=["lane"])
    limits = [*(f"{limit:g}" for limit in BUCKETS_S), INFINITY]
    counted = {(labels["lane"], labels["le"]): value for labels, value in buckets}
    for labels, total in sums:
        lane = labels["lane"]
        cumulative = accumulate(counted.get((lane, limit), 0.0) for limit in limits)
        family.add_metric([lane], list(zip(limits, cumulative, strict=True)), total)
    return family
