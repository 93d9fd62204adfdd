"""Thumbnails of images."""

from __future__ import annotations

import io

from PIL import Image

EDGE = 256


def thumbnail(image: bytes) -> bytes:
    """WebP file with a longer edge of at most ``EDGE`` pixels, without metadata."""
    small = io.BytesIO()
    with Image.open(io.BytesIO(image)) as opened:
        opened.thumbnail((EDGE, EDGE))
        opened.convert("RGB").save(small, "WEBP", quality=80)
    return small.getvalue()
