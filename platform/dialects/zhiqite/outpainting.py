"""A larger canvas around a picture, for the engine to draw what is beyond its edges. Pure."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image

from gpu_runner.sizes import LARGEST


@dataclass(frozen=True)
class Expanded:
    """PNG files: the picture in the middle of its canvas, and where it is, in white."""

    canvas: bytes
    mask: bytes
    width: int
    height: int


class TooLarge(ValueError):
    """The canvas would be larger than anything that is drawn."""


def expanded(data: bytes, across: float, down: float) -> Expanded:
    """By these factors. Raises TooLarge."""
    with Image.open(io.BytesIO(data)) as opened:
        picture = opened.convert("RGB")
    width, height = round(picture.width * across), round(picture.height * down)
    if max(width, height) > LARGEST:
        raise TooLarge(f"{width}x{height}")
    corner = (width - picture.width) // 2, (height - picture.height) // 2
    canvas, mask = Image.new("RGB", (width, height)), Image.new("L", (width, height))
    canvas.paste(picture, corner)
    mask.paste(255, (*corner, corner[0] + picture.width, corner[1] + picture.height))
    return Expanded(_png(canvas), _png(mask), width, height)


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
