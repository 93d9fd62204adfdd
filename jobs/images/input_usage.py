"""Input pictures that no job needs any more.

A picture that a request names is touched before its job is there; one that was touched lately is never deleted. The row
goes first, under a lock: a file that stays behind is only a file, a row without its file would fail a job.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from jobs.models import InputPicture, Job
from jobs.models.archive import JobInput

UNTOUCHED_FOR = timedelta(hours=1)  # longer than a request takes from its pictures to its job


def touch(sha256: str) -> bool:
    """Keeps it for now; False when there is none."""
    return bool(InputPicture.objects.filter(pk=sha256).update(used_at=timezone.now()))


def remember(job: Job, pictures: Iterable[str]) -> None:
    """In the transaction that inserts the job."""
    JobInput.objects.bulk_create([JobInput(job=job, sha256=sha256) for sha256 in sorted(pictures)])


def delete_unneeded(among: Iterable[str], before: datetime | None = None) -> int:
    """Those that no job has, and that nobody sent since ``before``."""
    before = min(before or timezone.now(), timezone.now() - UNTOUCHED_FOR)
    with transaction.atomic():
        unneeded = InputPicture.objects.filter(
            ~Exists(JobInput.objects.filter(sha256=OuterRef("pk"))), pk__in=set(among), used_at__lt=before
        )
        found = list(unneeded.select_for_update())
        InputPicture.objects.filter(pk__in=[picture.pk for picture in found]).delete()
    for picture in found:
        default_storage.delete(picture.file.name or "")
    return len(found)
