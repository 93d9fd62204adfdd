"""What the labels of an uploaded file say, and which output it is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from django.db.models import QuerySet

from access.models import BusinessSource
from gpu_runner.protocol.images.files import few_at_a_time

from .input_files import check_image, open_image, opened
from .labels import c2pa_reading, origin, reading
from .labels.c2pa_reading import Manifest
from .labels.origin import Origin
from .labels.reading import FileLabels


@dataclass(frozen=True)
class LabelReport:
    """``manifest``: None if there is none, or ``reads_manifests`` is false, because the extra ``c2pa`` is missing."""

    labels: FileLabels
    manifest: Manifest | None
    reads_manifests: bool
    origins: list[Origin]


@few_at_a_time
def report(data: bytes, sources: QuerySet[BusinessSource] | None) -> LabelReport:
    """Read the labels of a file, and look for it among the outputs of these sources (None: of all).

    Raises InvalidImage.
    """
    check_image(data)
    with opened(data) as image:
        labels, content_type = reading.read(image), f"image/{str(image.format).lower()}"
    manifest = c2pa_reading.read(data, content_type)
    numbers = [*labels.numbers, *([manifest.title] if manifest and manifest.title else [])]
    digest = hashlib.sha256(data).hexdigest()
    origins = [found.with_file(digest) for found in origin.find(sources, numbers, open_image(data))]
    return LabelReport(labels, manifest, c2pa_reading.is_installed(), origins)
