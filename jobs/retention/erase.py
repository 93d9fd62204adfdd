"""Deletion of the images of one job on its client's request, before its retention ends."""

from __future__ import annotations

import logging

from django.db import transaction

from jobs.images import input_usage, storage
from jobs.models import Job, Output
from jobs.models.archive import JobInput

log = logging.getLogger(__name__)


class JobNotEnded(Exception):
    """The job still writes images."""


def erase_images(job: Job) -> int:
    """Delete the outputs of an ended job, and its input images unless other jobs need them. The job itself stays.

    Returns the number of deleted outputs. Raises JobNotEnded.
    """
    if not job.is_terminal:
        raise JobNotEnded
    outputs = list(Output.objects.filter(job=job).select_related("job"))
    storage.delete_files(outputs)
    with transaction.atomic():
        Output.objects.filter(pk__in=[output.pk for output in outputs]).delete()
        inputs = JobInput.objects.filter(job=job)
        digests = set(inputs.values_list("sha256", flat=True))
        inputs.delete()
        input_usage.delete_unneeded(digests)
    log.info("images of job %s deleted on request: %d outputs", job.pk, len(outputs))
    return len(outputs)
