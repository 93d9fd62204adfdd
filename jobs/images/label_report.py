"""What the labels of an uploaded file say, and which output it is."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import QuerySet

from access.models import BusinessSource

from .input_files import check_image, open_image, opened
from .labels import origin, reading
from .labels.origin import Origin
from .labels.reading import FileLabels


@dataclass(frozen=True)
class LabelReport:
    labels: FileLabels
    origins: list[Origin]


def report(data: bytes, sources: QuerySet[BusinessSource] | None) -> LabelReport:
    """Read the labels of a file, and look for it among the outputs of these sources (None: of all).

    Raises InvalidImage.
    """
    check_image(data)
    with opened(data) as image:
        labels = reading.read(image)
    return LabelReport(labels, origin.find(sources, labels.numbers, open_image(data)))
