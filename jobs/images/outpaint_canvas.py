"""A larger canvas around a picture, for the engine to draw what is beyond its edges. Pure."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image

from gpu_runner.protocol.working_size import LARGEST


@dataclass(frozen=True)
class Margins:
    """Pixels beyond each edge."""

    left: int
    top: int
    right: int
    bottom: int

    def scaled(self, scale: float) -> Margins:
        sides = (self.left, self.top, self.right, self.bottom)
        return Margins(*(round(side * scale) for side in sides))


@dataclass(frozen=True)
class Expanded:
    """PNG files: the picture on its canvas, and, in white, what is beyond the picture."""

    canvas: bytes
    mask: bytes
    width: int
    height: int


class TooLarge(ValueError):
    """The canvas would be larger than anything that is drawn."""


def expanded(data: bytes, margins: Margins, most: tuple[int, int] | None = None) -> Expanded:
    """A canvas that would be larger than ``most`` (width, height) is made smaller, picture and all. Raises TooLarge."""
    with Image.open(io.BytesIO(data)) as opened:
        picture = opened.convert("RGB")
    width, height = _around(picture, margins)
    if most is not None:
        scale = min(1.0, most[0] / width, most[1] / height)
        if scale < 1:
            smaller = (max(1, int(picture.width * scale)), max(1, int(picture.height * scale)))
            picture, margins = picture.resize(smaller, Image.Resampling.LANCZOS), margins.scaled(scale)
            width, height = (
                min(side, limit) for side, limit in zip(_around(picture, margins), most, strict=True)
            )
    if max(width, height) > LARGEST:
        raise TooLarge(f"{width}x{height}")
    canvas, mask = Image.new("RGB", (width, height)), Image.new("L", (width, height), 255)
    corner = margins.left, margins.top
    canvas.paste(picture, corner)
    mask.paste(0, (*corner, corner[0] + picture.width, corner[1] + picture.height))
    return Expanded(_png(canvas), _png(mask), width, height)


def _around(picture: Image.Image, margins: Margins) -> tuple[int, int]:
    return picture.width + margins.left + margins.right, picture.height + margins.top + margins.bottom


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
