"""Pictures as A1111's clients write them: base64, bare or in a data URI. URLs are the module links'."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import math
from typing import Any

from PIL import Image

from dialects.a1111.errors import WireError


def decode(text: Any) -> bytes:
    """The bytes of a picture file; whether they are one is asked when they are stored."""
    if not isinstance(text, str):
        raise invalid_picture()
    if is_url(text):
        raise WireError(500, detail="Requests not allowed")
    if text.startswith("data:image/"):
        text = text.partition(";")[2].partition(",")[2]
    try:
        data = base64.b64decode(text)
    except (binascii.Error, ValueError):
        raise invalid_picture() from None
    if not data:
        raise invalid_picture()
    return data


def is_url(text: Any) -> bool:
    return isinstance(text, str) and text.startswith(("http://", "https://"))


def invalid_picture() -> WireError:
    return WireError(500, detail="Invalid encoded image")


def encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# How each format is written again without its text, losing as little as it lets us.
REWRITTEN: dict[str, dict[str, Any]] = {
    "PNG": {},
    "JPEG": {"quality": "keep", "exif": b""},
    "WEBP": {"quality": 95, "exif": b""},
}


def without_infotext(data: bytes) -> bytes:
    """The same picture, without what was written into it."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(data)) as picture:
        kind = str(picture.format)
        picture.save(buffer, kind, **REWRITTEN[kind])
    return buffer.getvalue()


def grid_rows(count: int, batch_size: int, settings: dict[str, Any]) -> int:
    """By the option ``n_rows``: -1 is about as many rows as columns, 0 a row for each picture of a batch."""
    rows = settings["n_rows"]
    if rows == 0:
        rows = batch_size
    elif rows < 0 and settings["grid_prevent_empty_spots"]:
        rows = next(rows for rows in range(math.isqrt(count), 0, -1) if count % rows == 0)
    elif rows < 0:
        rows = round(math.sqrt(count))
    return min(rows, count)


def grid(files: list[bytes], rows: int) -> bytes:
    """All pictures in one PNG."""
    pictures = [Image.open(io.BytesIO(data)) for data in files]
    columns = math.ceil(len(pictures) / rows)
    width, height = pictures[0].size
    sheet = Image.new("RGB", (columns * width, rows * height), "black")
    for index, picture in enumerate(pictures):
        sheet.paste(picture, (index % columns * width, index // columns * height))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()
