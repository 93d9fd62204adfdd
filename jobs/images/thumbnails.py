"""Small copies of pictures, for pages that show many."""

from __future__ import annotations

import io

from PIL import Image

EDGE = 256


def thumbnail(picture: bytes) -> bytes:
    """A WebP whose longer edge is at most EDGE; without the picture's metadata."""
    small = io.BytesIO()
    with Image.open(io.BytesIO(picture)) as image:
        image.thumbnail((EDGE, EDGE))
        image.convert("RGB").save(small, "WEBP", quality=80)
    return small.getvalue()
