"""Thumbnails of images."""

from __future__ import annotations

import io

from .input_files import open_image

EDGE = 256


def thumbnail(image: bytes) -> bytes:
    """WebP file with a longer edge of at most ``EDGE`` pixels, upright, without metadata. Transparency is kept."""
    small = io.BytesIO()
    opened = open_image(image)
    opened.thumbnail((EDGE, EDGE))
    opened.save(small, "WEBP", quality=80)
    return small.getvalue()
