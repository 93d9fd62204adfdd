"""What the labels of an uploaded file say, and which output it is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from PIL import Image

from access.models import BusinessSource
from gpu_runner.protocol.images.files import few_at_a_time
from gpu_runner.protocol.video.media_types import container_of
from jobs.errors import InvalidImage

from .input_files import check_image, open_image, opened
from .labels import c2pa_reading, origin, reading
from .labels.c2pa_reading import Manifest
from .labels.origin import Origin
from .labels.reading import FileLabels
from .video import label_reading
from .video.facts import BadVideo


@dataclass(frozen=True)
class LabelReport:
    """``manifest``: None if there is none, or ``reads_manifests`` is false, because the extra ``c2pa`` is missing."""

    labels: FileLabels
    manifest: Manifest | None
    reads_manifests: bool
    origins: list[Origin]


@few_at_a_time
def report(data: bytes, sources: QuerySet[BusinessSource] | None) -> LabelReport:
    """Read the labels of an image or video, and look for it among the outputs of these sources (None: of all).

    A video is found by its number only: files of clients are not given to a video decoder. Raises InvalidImage.
    """
    shown: Image.Image | None = None
    if content_type := container_of(data):
        labels = _of_video(data, content_type)
    else:
        check_image(data)
        with opened(data) as image:
            labels, content_type = reading.read(image), f"image/{str(image.format).lower()}"
        shown = open_image(data)
    manifest = c2pa_reading.read(data, content_type)
    numbers = [*labels.numbers, *([manifest.title] if manifest and manifest.title else [])]
    digest = hashlib.sha256(data).hexdigest()
    origins = [found.with_file(digest) for found in origin.find(sources, numbers, shown)]
    return LabelReport(labels, manifest, c2pa_reading.is_installed(), origins)


def _of_video(data: bytes, media_type: str) -> FileLabels:
    try:
        return label_reading.read(data, media_type)
    except BadVideo as error:
        raise InvalidImage(_("The video cannot be read: %(reason)s.") % {"reason": error}) from error
