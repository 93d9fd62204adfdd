"""Count finished jobs and callback attempts into tallies, which remain after the rows are deleted.

Counting reads the tables afterwards, so the hot path is unaffected and no count is lost when a process is
killed. The metrics scrape and the periodic task both call it; each counts rows up to LAG ago, by which time
all transactions are committed.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from jobs.models import Job, Lane
from jobs.models.callback import CallbackAttempt
from telemetry import tallies
from telemetry.models import Mark

MARK = "counted"
LAG = timedelta(seconds=10)  # longer than the transaction that finishes a job
BUCKETS_S = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
INFINITY = "+Inf"

Counts = Counter[tuple[str, tuple[tuple[str, str], ...]]]


@transaction.atomic
def count_ended_rows(until: datetime | None = None) -> int:
    """Count rows that ended after the last call, up to ``until``. Returns the number of jobs counted.

    Rows that ended before the first call are not counted.
    """
    until = until or timezone.now() - LAG
    Mark.objects.get_or_create(name=MARK, defaults={"at": until})
    mark = Mark.objects.select_for_update().get(name=MARK)
    if mark.at >= until:
        return 0
    counts: Counts = Counter()
    counted = _jobs(counts, Job.objects.filter(finished_at__gt=mark.at, finished_at__lte=until))
    _attempts(counts, CallbackAttempt.objects.filter(at__gt=mark.at, at__lte=until))
    for (name, labels), amount in sorted(counts.items()):
        tallies.add(name, amount, **dict(labels))
    mark.at = until
    mark.save(update_fields=["at"])
    return counted


def _jobs(counts: Counts, ended: QuerySet[Job]) -> int:
    columns = ("source__name", "dialect", "state", "lane", "created_at", "started_at", "finished_at")
    rows = ended.order_by().values_list(*columns, "device_seconds", "cost")
    counted = 0
    for source, dialect, state, lane, created, started, finished, device_seconds, cost in rows.iterator():
        counted += 1
        _count(counts, "jobs_ended", 1, source=source, dialect=dialect, state=state)
        _count(counts, "device_seconds", device_seconds, source=source)
        _count(counts, "cost_units", float(cost), source=source)
        if started is not None:
            _observe(counts, "job_wait_seconds", started - created, lane=Lane(lane).name.lower())
            _observe(counts, "job_run_seconds", finished - started, lane=Lane(lane).name.lower())
    return counted


def _attempts(counts: Counts, attempts: QuerySet[CallbackAttempt]) -> None:
    for dialect, status, acknowledged in attempts.order_by().values_list(
        "callback__dialect", "status", "acknowledged"
    ):
        result = "acknowledged" if acknowledged else "unreachable" if status is None else "refused"
        _count(counts, "callback_attempts", 1, dialect=dialect, result=result)


def _observe(counts: Counts, name: str, duration: timedelta, **labels: str) -> None:
    seconds = max(0.0, duration.total_seconds())
    bucket = next((f"{limit:g}" for limit in BUCKETS_S if seconds <= limit), INFINITY)
    _count(counts, f"{name}_bucket", 1, le=bucket, **labels)
    _count(counts, f"{name}_sum", seconds, **labels)


def _count(counts: Counts, name: str, amount: float, **labels: str) -> None:
    counts[name, tuple(sorted(labels.items()))] += amount  # type: ignore[assignment]
