"""Masks of edits: PNG files, transparent where the image is drawn anew."""

from __future__ import annotations

from django.utils.translation import gettext as _

from dialects.openai.errors import APIError
from gpu_runner.protocol.images.files import few_at_a_time
from gpu_runner.protocol.images.working_size import Size
from jobs.images.input_files import open_image, opened

HALF_ALPHA = 128  # at most this much opacity counts as transparent


@few_at_a_time
def check_mask(data: bytes, image_size: Size) -> None:
    """Raises APIError for a mask of another format or size, or one that marks nothing."""
    with opened(data) as file:
        file_format = file.format
    if file_format != "PNG":
        raise APIError.invalid("mask", _("The mask must be a PNG file."))
    mask = open_image(data)
    if mask.size != image_size:
        message = _("The mask must have the size of the image, %(image)s (got %(mask)s).")
        words = {"image": "x".join(map(str, image_size)), "mask": "x".join(map(str, mask.size))}
        raise APIError.invalid("mask", message % words)
    if mask.mode != "RGBA" or min(mask.getchannel("A").tobytes()) > HALF_ALPHA:
        message = _("The mask is opaque: it must be transparent where the image is drawn anew.")
        raise APIError.invalid("mask", message)
