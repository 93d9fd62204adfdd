"""Thumbnails of images."""

from __future__ import annotations

import io

from PIL import Image

EDGE = 256


def thumbnail(picture: bytes) -> bytes:
    """WebP file with a longer edge of at most ``EDGE`` pixels, without metadata."""
    small = io.BytesIO()
    with Image.open(io.BytesIO(picture)) as image:
        image.thumbnail((EDGE, EDGE))
        image.convert("RGB").save(small, "WEBP", quality=80)
    return small.getvalue()
