"""Trainings of a source, and the removal of their results."""

from __future__ import annotations

import uuid

from django.db.models import QuerySet
from django.utils import timezone

from access.models import BusinessSource
from jobs.models import State, Training
from jobs.trained_files import installation


def trainings_of(source: BusinessSource) -> QuerySet[Training]:
    """The newest first."""
    related = Training.objects.filter(job__source=source).select_related(
        "job", "job__source", "job__checkpoint", "file"
    )
    return related.order_by("-job__created_at", "-pk")


def training_get(source: BusinessSource, job_id: uuid.UUID) -> Training:
    """Raises Training.DoesNotExist for another source's training, too, so that its existence is not revealed."""
    return trainings_of(source).get(pk=job_id)


def is_available(training: Training) -> bool:
    """Whether the source can use the result."""
    file = training.file
    if file is None or training.job.state != State.SUCCEEDED or not file.enabled or file.missing_since:
        return False
    return file.expires_at is None or file.expires_at > timezone.now()


def delete_result(training: Training) -> bool:
    """Delete the LoRA of a training that has ended, and its file. Returns False if there is none."""
    if training.file is None or not is_available(training):
        return False
    if list(training.file.allowed_sources.all()) != [training.job.source]:
        return False  # an operator has shared it with others
    installation.delete(training.file)
    return True
