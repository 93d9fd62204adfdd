"""Which job drew an image: by the numbers in its labels, or by its perceptual hash."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from django.db.models import QuerySet
from PIL import Image

from access.models import BusinessSource
from gpu_runner.protocol.images import files as image_files
from jobs.models import Fingerprint, Job, Output, OutputKind
from jobs.models.fingerprint import bands_of

from .implicit import DOCUMENT_ID

SIDE = 8
MAX_DISTANCE = 6  # bits that may differ; found for certain up to 3, as a rule up to 6
MAX_FOUND = 5
MAX_CANDIDATES = 2000  # rows of one band that are compared, newest first: flat images have equal bands
# The number of an output: its job, perhaps its kind, and its index (jobs.images.storage.image_number).
NUMBER = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-(?:(\w+)-)?(\d{1,6})")


@dataclass(frozen=True)
class Origin:
    """An output that an image is, or looks like. ``distance``: of the perceptual hashes, in bits of 64.

    ``same_file``: the image's file is the stored one, or a labeled copy of it, byte by byte. ``visible_texts``: what was
    drawn on that file, or else on the output, when it was stored; None: not recorded.
    """

    output: Output
    found_by: str
    distance: int = 0
    same_file: bool = False
    visible_texts: list[str] | None = None

    def with_file(self, sha256: str) -> Origin:
        """Compared with a file by its SHA-256."""
        kinds = (OutputKind.IMAGE, OutputKind.MARKED)
        same = Output.objects.filter(job=self.output.job_id, kind__in=kinds, sha256=sha256).first()
        texts = (same or self.output).visible_texts
        return replace(self, same_file=same is not None, visible_texts=texts)


def perceptual_hash(image: Image.Image) -> int:
    """Difference hash (dHash) in 64 bits: is each of 8 x 8 areas brighter than its left neighbor?"""
    gray = image_files.flatten(image).convert("L").resize((SIDE + 1, SIDE), Image.Resampling.BOX)
    levels = np.asarray(gray).astype(int)
    bits = (levels[:, 1:] > levels[:, :-1]).flatten()
    return int("".join("1" if bit else "0" for bit in bits), 2)


def fingerprints(job: Job, outputs: Iterable[Output]) -> list[Fingerprint]:
    """Rows for the saved images of a job."""
    return [
        Fingerprint(output=output, source_id=job.source_id, **bands_of(output.perceptual_hash))
        for output in outputs
        if output.kind == OutputKind.IMAGE and output.perceptual_hash is not None
    ]


def find(
    sources: QuerySet[BusinessSource] | None, numbers: Iterable[str], image: Image.Image | None
) -> list[Origin]:
    """Outputs of these sources (None: of all) that the file may be, the most similar first.

    ``numbers``: those in the file's labels. ``image``: None for a video, which is found by its number only.
    """
    named = [origin for number in numbers if (origin := _named(sources, number)) is not None]
    return named[:1] or ([] if image is None else _similar(sources, perceptual_hash(image)))


def _named(sources: QuerySet[BusinessSource] | None, number: str) -> Origin | None:
    match = NUMBER.fullmatch(number.removeprefix(DOCUMENT_ID))
    if match is None:
        return None
    job_id, kind, index = uuid.UUID(match[1]), match[2] or OutputKind.IMAGE, int(match[3])
    outputs = Output.objects.filter(job_id=job_id, kind=kind, index=index)
    if sources is not None:
        outputs = outputs.filter(job__source__in=sources)
    output = outputs.select_related("job").first()
    return Origin(output, "number") if output else None


def _similar(sources: QuerySet[BusinessSource] | None, value: int) -> list[Origin]:
    distances = {pk: (candidate ^ value).bit_count() for pk, candidate in _candidates(sources, value)}
    nearest = sorted((distance, -pk) for pk, distance in distances.items() if distance <= MAX_DISTANCE)[
        :MAX_FOUND
    ]
    outputs = Output.objects.select_related("job").in_bulk([-pk for _distance, pk in nearest])
    return [Origin(outputs[-pk], "perceptual_hash", distance) for distance, pk in nearest if -pk in outputs]


def _candidates(sources: QuerySet[BusinessSource] | None, value: int) -> Iterator[tuple[int, int]]:
    for name, band in bands_of(value).items():
        rows = Fingerprint.objects.filter(**{name: band})
        if sources is not None:
            rows = rows.filter(source__in=sources)
        for row in rows.order_by("-pk")[:MAX_CANDIDATES]:
            yield row.pk, row.value
