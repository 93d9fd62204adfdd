"""Retention: delete expired images, inputs, jobs and temporary keys in batches, and archive old jobs.

Each step queries what is left to do, so the cleanup may be interrupted and restarted at any point. Output files
are deleted before their rows: after an interruption the row is found again, and a missing file is no error.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from access.models import AccessKey, BusinessSource
from jobs.images import input_usage, storage
from jobs.images.labels import consent
from jobs.models import TERMINAL, InputPicture, Job, Output
from jobs.models.archive import ArchivedJob, JobInput
from jobs.models.callback import CallbackState
from jobs.trained_files import installation as trained_files
from models_registry.models import ModelFile

from .archive import archive

log = logging.getLogger(__name__)

BATCH = 200
TIME_LIMIT_S = 600.0  # the task timeout of the background cluster is 900 s
KEYS_KEPT = timedelta(days=7)  # temporary keys are kept this long after their expiry
UNDELIVERED = (CallbackState.WAITING, CallbackState.PENDING, CallbackState.SENDING)


@dataclass
class CleanupCounts:
    """Numbers of deleted and archived rows."""

    pictures: int = 0
    inputs: int = 0
    jobs: int = 0
    models: int = 0
    archived: int = 0
    keys: int = 0

    def __str__(self) -> str:
        return (
            f"deleted: images {self.pictures}, inputs {self.inputs}, jobs {self.jobs}, "
            f"trained models {self.models}, temporary keys {self.keys}; archived jobs: {self.archived}"
        )


def tidy(time_limit_s: float = TIME_LIMIT_S) -> CleanupCounts:
    """Run the cleanup for at most ``time_limit_s`` seconds. The next run continues."""
    return CleanupRun(time.monotonic() + time_limit_s).run()


class CleanupRun:
    """One run of the cleanup. ``stop_at``: no batch starts after this time (time.monotonic)."""

    def __init__(self, stop_at: float = float("inf")) -> None:
        self.now = timezone.now()
        self.done = CleanupCounts()
        self._stop_at = stop_at

    def run(self) -> CleanupCounts:
        for source in BusinessSource.objects.order_by("pk"):
            self._of_source(source)
        if settings.KEEP_INPUTS_DAYS:
            before = self.now - timedelta(days=settings.KEEP_INPUTS_DAYS)
            self.done.inputs += self._batches(lambda: self._unused_inputs(before))
        self.done.models = self._batches(self._expired_models)
        self.done.keys = self._temporary_keys()
        consent.delete_old_records()
        if any(vars(self.done).values()):
            log.info("%s", self.done)
        return self.done

    def _of_source(self, source: BusinessSource) -> None:
        steps: list[tuple[str, int | None, Callable[[BusinessSource, datetime], int]]] = [
            ("jobs", source.jobs_days, self._jobs),
            ("jobs", source.jobs_days, self._archived_jobs),
            ("pictures", source.pictures_days, self._outputs),
            ("inputs", source.inputs_days, self._inputs),
            ("archived", settings.ARCHIVE_JOBS_DAYS, self._archive),
        ]
        for column, days, step in steps:
            if days:
                before = self.now - timedelta(days=days)
                count = self._batches(lambda step=step, before=before: step(source, before))  # type: ignore[misc]
                setattr(self.done, column, getattr(self.done, column) + count)

    def _batches(self, step: Callable[[], int]) -> int:
        total = 0
        while time.monotonic() < self._stop_at:
            count = step()
            total += count
            if not count:
                break
        return total

    # Each of these processes one batch and returns its size; 0 means that nothing is left.

    def _outputs(self, source: BusinessSource, before: datetime) -> int:
        old = Output.objects.filter(job__in=_ended(source, before)).order_by("pk")
        found = list(old.select_related("job")[:BATCH])
        _delete_outputs(found)
        return len(found)

    def _inputs(self, source: BusinessSource, before: datetime) -> int:
        old = JobInput.objects.filter(job__in=_ended(source, before)).order_by("pk")
        found = list(old[:BATCH])
        with transaction.atomic():
            JobInput.objects.filter(pk__in=[row.pk for row in found]).delete()
            input_usage.delete_unneeded({row.sha256 for row in found})
        return len(found)

    def _unused_inputs(self, before: datetime) -> int:
        """Delete input images that no job uses."""
        unused = InputPicture.objects.filter(
            ~Exists(JobInput.objects.filter(sha256=OuterRef("pk"))), used_at__lt=before
        )
        return input_usage.delete_unneeded(list(unused.values_list("pk", flat=True)[:BATCH]), before)

    def _expired_models(self) -> int:
        """A row that something refers to stays, marked as missing."""
        expired = ModelFile.objects.filter(expires_at__lte=self.now, missing_since=None).order_by("pk")
        found = list(expired[:BATCH])
        for file in found:
            trained_files.delete(file)
        return len(found)

    def _jobs(self, source: BusinessSource, before: datetime) -> int:
        found = list(_settled(_ended(source, before)).order_by("finished_at")[:BATCH])
        ids = [job.pk for job in found]
        _delete_outputs(list(Output.objects.filter(job__in=ids).select_related("job")))
        needed = set(JobInput.objects.filter(job__in=ids).values_list("sha256", flat=True))
        Job.objects.filter(pk__in=ids).delete()
        input_usage.delete_unneeded(needed)
        return len(found)

    def _archived_jobs(self, source: BusinessSource, before: datetime) -> int:
        old = ArchivedJob.objects.filter(source=source, finished_at__lt=before)
        ids = list(old.order_by("finished_at").values_list("pk", flat=True)[:BATCH])
        return ArchivedJob.objects.filter(pk__in=ids).delete()[0]

    def _archive(self, source: BusinessSource, before: datetime) -> int:
        """Archive jobs. Jobs that still have outputs are not archived."""
        old = _settled(_ended(source, before)).filter(~Exists(Output.objects.filter(job=OuterRef("pk"))))
        found = list(old.select_related("key", "checkpoint", "runner").order_by("finished_at")[:BATCH])
        needed = set(
            JobInput.objects.filter(job__in=[job.pk for job in found]).values_list("sha256", flat=True)
        )
        count = archive(found)
        input_usage.delete_unneeded(needed)
        return count

    def _temporary_keys(self) -> int:
        expired = AccessKey.objects.filter(session_token__isnull=False, expires_at__lt=self.now - KEYS_KEPT)
        ids = list(expired.values_list("pk", flat=True)[: 10 * BATCH])
        AccessKey.objects.filter(pk__in=ids).delete()
        return len(ids)


def _ended(source: BusinessSource, before: datetime) -> QuerySet[Job]:
    return Job.objects.filter(source=source, state__in=TERMINAL, finished_at__lt=before)


def _settled(jobs: QuerySet[Job]) -> QuerySet[Job]:
    """Jobs without undelivered callbacks."""
    return jobs.exclude(callback__state__in=UNDELIVERED)


def _delete_outputs(found: list[Output]) -> None:
    storage.delete_files(found)
    Output.objects.filter(pk__in=[output.pk for output in found]).delete()
