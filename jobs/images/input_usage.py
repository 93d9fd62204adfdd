"""Use of input images by jobs, and deletion of unused ones.

An input image is touched before the job that refers to it is inserted; recently touched ones are never deleted.
The row is deleted first, under a lock: a leftover file does no harm, but a row without a file would fail a job.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from access.models import BusinessSource
from jobs.models import InputPicture, Job
from jobs.models.archive import JobInput

UNTOUCHED_FOR = timedelta(hours=1)  # longer than a request takes from storing its images to inserting its job


def touch(sha256: str) -> bool:
    """Mark an input image as recently used. Returns False if it does not exist."""
    return bool(InputPicture.objects.filter(pk=sha256).update(used_at=timezone.now()))


def remember(job: Job, digests: Iterable[str]) -> None:
    """Record the inputs of a job. Call it in the transaction that inserts the job."""
    JobInput.objects.bulk_create([JobInput(job=job, sha256=sha256) for sha256 in sorted(digests)])


def sent_by(source: BusinessSource, digests: Iterable[str]) -> set[str]:
    """Those of the images that a job of the source has used."""
    used = JobInput.objects.filter(sha256__in=set(digests), job__source=source)
    return set(used.values_list("sha256", flat=True))


def delete_unneeded(among: Iterable[str], before: datetime | None = None) -> int:
    """Delete the images of ``among`` that no job uses and that were last touched before ``before``.

    Images touched within ``UNTOUCHED_FOR`` are kept in any case. Returns the number of deleted images.
    """
    before = min(before or timezone.now(), timezone.now() - UNTOUCHED_FOR)
    with transaction.atomic():
        unneeded = InputPicture.objects.filter(
            ~Exists(JobInput.objects.filter(sha256=OuterRef("pk"))), pk__in=set(among), used_at__lt=before
        )
        found = list(unneeded.select_for_update())
        InputPicture.objects.filter(pk__in=[row.pk for row in found]).delete()
    for row in found:
        default_storage.delete(row.file.name or "")
    return len(found)
