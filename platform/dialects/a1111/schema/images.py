"""Images in A1111's format: base64, bare or as a data URI. URLs are handled by ``request.image_urls``."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import math
from typing import Any

from django.utils.translation import gettext as _
from PIL import Image

from dialects.a1111.errors import WireError
from gpu_runner.protocol.images.files import few_at_a_time
from jobs.errors import InvalidImage
from jobs.images.file_metadata import exif_of, with_label
from jobs.images.input_files import check_image, open_image, opened
from jobs.images.labels.implicit import ImplicitLabel


def decode(text: Any, name: str) -> bytes:
    """Decode the contents of an image file, and check that it is an image. ``name``: the field, for the message.

    Raises WireError.
    """
    if is_url(text):
        raise WireError(500, detail="Requests not allowed", errors=f"{name}: {_('image URLs are disabled.')}")
    data = _contents(text)
    if not data:
        raise invalid_image(name, _("not base64, or empty."))
    try:
        check_image(data)
    except InvalidImage as refused:
        raise invalid_image(name, refused.message) from None
    return data


def digest(text: Any) -> str:
    """SHA-256 of an image that was decoded before."""
    return sha256(_contents(text))


def _contents(text: Any) -> bytes:
    """The bytes of an image file; empty if ``text`` is not base64."""
    if not isinstance(text, str):
        return b""
    if text.startswith("data:image/"):
        text = text.partition(";")[2].partition(",")[2]
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        return b""


def is_url(text: Any) -> bool:
    return isinstance(text, str) and text.startswith(("http://", "https://"))


def invalid_image(name: str, reason: str) -> WireError:
    """The original's error, with the field and the reason in ``errors``."""
    return WireError(500, detail="Invalid encoded image", errors=f"{name}: {reason}" if name else reason)


def encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# Per format, the save options for a copy that preserve the most quality.
SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "JPEG": {"quality": "keep"},
    "WEBP": {"quality": 95},
    "AVIF": {"quality": 95},
}


def without_infotext(data: bytes, label: ImplicitLabel) -> bytes:
    """Return the image without its embedded metadata, except for the label."""
    buffer = io.BytesIO()
    with opened(data) as image:
        file_format = str(image.format)
        if file_format == "PNG":
            image.save(buffer, "PNG")
            return with_label(buffer.getvalue(), label)
        image.save(buffer, file_format, exif=exif_of(label), xmp=label.xmp, **SAVE_OPTIONS[file_format])
    return buffer.getvalue()


def grid_rows(count: int, batch_size: int, settings: dict[str, Any]) -> int:
    """Number of grid rows by the option ``n_rows``.

    -1 means about as many rows as columns, 0 as many rows as images in a batch. At most ``count``.
    """
    rows = settings["n_rows"]
    if rows == 0:
        rows = batch_size
    elif rows < 0 and settings["grid_prevent_empty_spots"]:
        rows = next(rows for rows in range(math.isqrt(count), 0, -1) if count % rows == 0)
    elif rows < 0:
        rows = round(math.sqrt(count))
    return min(rows, count)


@few_at_a_time
def grid(files: list[bytes], rows: int) -> bytes:
    """Combine the images into one PNG grid."""
    images = [open_image(data) for data in files]
    columns = math.ceil(len(images) / rows)
    width, height = images[0].size
    sheet = Image.new("RGB", (columns * width, rows * height), "black")
    for index, image in enumerate(images):
        sheet.paste(image, (index % columns * width, index // columns * height))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()
