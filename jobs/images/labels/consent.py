"""The log of images without a visible label, and its end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from access.source_settings.image_labels import ExplicitLabel
from jobs.models import Job, Output, OutputKind, UnlabeledImages

from .implicit import is_generated


def record(job: Job, outputs: Sequence[Output]) -> None:
    """Log the images of a job whose source has no visible label. To be called as the job succeeds."""
    source = job.source
    images = sum(output.kind == OutputKind.IMAGE for output in outputs)
    if source.explicit_label != ExplicitLabel.OFF or not images or not is_generated(job.generation_request):
        return
    UnlabeledImages.objects.create(
        job_id=job.pk,
        source=source,
        dialect=job.dialect,
        key_id=job.key.key_id if job.key else "",
        end_user=job.end_user,
        images=images,
        consent=source.unlabeled_consent,
        consent_on=source.unlabeled_consent_on,
    )


def delete_old_records() -> int:
    before = timezone.now() - timedelta(days=settings.UNLABELED_LOG_DAYS)
    return UnlabeledImages.objects.filter(created_at__lt=before).delete()[0]
