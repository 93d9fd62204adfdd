"""Copies of finished pictures with a label or a mark that was asked for after they were drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.generation_request import Label, Mark
from jobs.errors import OverLimit
from jobs.models import Job, Output, OutputKind

from . import file_metadata, storage, watermark

MOST_COPIES = 16  # of one job: each other wording is another file
TRIES = 5


def marked(job: Job, wanted: Sequence[Label], marks: Sequence[Mark]) -> list[Output]:
    """The job's pictures, or copies of them, each kept once however often it is asked for. Raises OverLimit."""
    outputs = list(job.pictures)
    if not wanted and not marks:
        return outputs
    request = job.generation_request
    return [_copy(job, output, _marked_file(output, request, wanted, marks)) for output in outputs]


def _marked_file(
    output: Output, request: GenerationRequest, wanted: Sequence[Label], marks: Sequence[Mark]
) -> bytes:
    data = watermark.drawn(storage.read_output(output), wanted)
    if wanted:  # drawing has dropped the texts
        data = file_metadata.with_infotext(data, "png", output.infotext)
        data = file_metadata.with_marks(data, request.marks)
    return file_metadata.with_marks(data, marks)


def _copy(job: Job, of: Output, data: bytes) -> Output:
    digest = hashlib.sha256(data).hexdigest()
    for _attempt in range(TRIES):
        copies = job.outputs.filter(kind=OutputKind.MARKED)
        if known := copies.filter(sha256=digest).first():
            return known
        count = copies.count()
        if count >= MOST_COPIES:
            raise OverLimit(_("No more than %(most)d copies of a job's pictures.") % {"most": MOST_COPIES})
        copy = Output(
            kind=OutputKind.MARKED,
            index=count,
            width=of.width,
            height=of.height,
            seed=of.seed,
            infotext=of.infotext,
            nsfw=of.nsfw,
            nsfw_score=of.nsfw_score,
        )
        storage.keep(copy, job, data, "png")
        try:
            with transaction.atomic():
                copy.save()
        except IntegrityError:  # another one was made meanwhile, perhaps the same
            storage.delete_files([copy])
        else:
            return copy
    raise OverLimit(_("Too many copies of these pictures are made at once."), retry_after=1)
