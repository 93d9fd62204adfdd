"""Deletion of images on request, before their retention ends."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from django.db import transaction

from jobs.images import input_usage, storage
from jobs.models import Job, Output, OutputKind
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


def erase_outputs(outputs: Iterable[Output]) -> int:
    """Delete images of any jobs, and their labeled copies. The jobs and their inputs stay.

    Returns the number of deleted images.
    """
    images = list(outputs)
    copies = [
        copy
        for image in images
        for copy in image.job.outputs.filter(kind=OutputKind.MARKED, index=image.index)
    ]
    storage.delete_files([*images, *copies])
    Output.objects.filter(pk__in=[output.pk for output in [*images, *copies]]).delete()
    for image in images:
        log.info("image %d of job %s deleted on request", image.index, image.job_id)
    return len(images)
