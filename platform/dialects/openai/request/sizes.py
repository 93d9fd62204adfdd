"""Size of the images in pixels."""

from __future__ import annotations

import math

from django.utils.translation import gettext as _

from access.models import AccessKey
from dialects.image_sizes import parse_size
from dialects.openai.errors import APIError
from gpu_runner.protocol.images.working_size import LARGEST, MULTIPLE, SMALLEST, Size, working_size
from models_registry.models import ModelFile
from models_registry.native_size import native_size


def requested_size(text: str) -> Size | None:
    """The size of the field ``size``; None for ``auto``. Raises APIError."""
    if text == "auto":
        return None
    size = parse_size(text)
    if size is None or not all(SMALLEST <= side <= LARGEST and side % MULTIPLE == 0 for side in size):
        message = _(
            "size must be auto or WIDTHxHEIGHT, with sides from %(smallest)d to %(largest)d that are multiples of "
            "%(multiple)d."
        )
        words = {"smallest": SMALLEST, "largest": LARGEST, "multiple": MULTIPLE}
        raise APIError.invalid("size", message % words)
    return size


def default_size(checkpoint: ModelFile, key: AccessKey, image_size: Size | None = None) -> Size:
    """The checkpoint's native size; with an image, its proportions at the checkpoint's area.

    Within the limits of the source and the key.
    """
    width, height = native_size(checkpoint)
    if image_size is not None:
        scale = math.sqrt(width * height / (image_size[0] * image_size[1]))
        width, height = working_size(*image_size, long_side=max(1, round(max(image_size) * scale)))
    widest = min(filter(None, (key.max_width, key.source.max_width)), default=LARGEST)
    highest = min(filter(None, (key.max_height, key.source.max_height)), default=LARGEST)
    shrink = min(1.0, widest / width, highest / height)
    return tuple(max(SMALLEST, int(side * shrink) // MULTIPLE * MULTIPLE) for side in (width, height))  # type: ignore[return-value]
