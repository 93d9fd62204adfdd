"""Copies of finished images with labels or metadata marks that were requested after generation."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.request_parts.outputs import Label, Mark
from jobs.errors import OverLimit
from jobs.models import Job, Output, OutputKind

from . import file_metadata, storage, watermark
from .labels import aigc, explicit
from .labels.implicit import label_of, requested

MAX_COPIES = 16  # per job: each different text creates another file
MAX_ATTEMPTS = 5


def marked(job: Job, labels: Sequence[Label], marks: Sequence[Mark]) -> list[Output]:
    """The job's images, or labeled copies of them. Identical copies are stored once. Raises OverLimit."""
    outputs = list(job.image_outputs)
    if not labels and not marks:
        return outputs
    request = job.generation_request
    texts = [lettering.text for lettering in explicit.later(job.source, request, labels)]
    return [
        _copy(job, output, _marked_file(job, output, request, labels, marks), texts) for output in outputs
    ]


def _marked_file(
    job: Job,
    output: Output,
    request: GenerationRequest,
    labels: Sequence[Label],
    marks: Sequence[Mark],
) -> bytes:
    """PNG file with the labels. Encoding it anew removes the text chunks; the marks may replace an AIGC object."""
    data = watermark.encoded(storage.read_output(output), explicit.later(job.source, request, labels))
    # The number is that of the original: it names the image, and equal copies have to be equal files.
    number = storage.image_number(job, OutputKind.IMAGE, output.index)
    label = label_of(job, request, number, requested(marks))
    data = file_metadata.with_infotext(data, "png", output.infotext, label=label)
    return file_metadata.with_marks(data, [mark for mark in (*request.marks, *marks) if mark.key != aigc.KEY])


def _copy(job: Job, original: Output, data: bytes, texts: Sequence[str]) -> Output:
    """``texts``: those that the copy has besides the original's."""
    digest = hashlib.sha256(data).hexdigest()
    for _attempt in range(MAX_ATTEMPTS):
        copies = job.outputs.filter(kind=OutputKind.MARKED)
        if known := copies.filter(unsigned_sha256=digest).first():
            return known
        count = copies.count()
        if count >= MAX_COPIES:
            raise OverLimit(_("A job may have at most %(limit)d labeled copies.") % {"limit": MAX_COPIES})
        copy = Output(
            kind=OutputKind.MARKED,
            index=count,
            unsigned_sha256=digest,
            width=original.width,
            height=original.height,
            seed=original.seed,
            infotext=original.infotext,
            nsfw=original.nsfw,
            nsfw_score=original.nsfw_score,
            visible_texts=None if original.visible_texts is None else [*original.visible_texts, *texts],
        )
        number = storage.image_number(job, OutputKind.IMAGE, original.index)
        storage.keep(copy, job, storage.sign(data, "png", job.generation_request, number), "png")
        try:
            with transaction.atomic():
                copy.save()
        except IntegrityError:  # a concurrent request took this index, perhaps for the same copy
            storage.delete_files([copy])
        else:
            return copy
    raise OverLimit(
        _("Too many concurrent requests for labeled copies of this job. Retry later."), retry_after=1
    )
