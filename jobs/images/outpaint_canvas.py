"""Outpainting canvas and mask: an image extended beyond its edges. Pure functions."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image

from gpu_runner.protocol.images.files import few_at_a_time, flatten
from gpu_runner.protocol.images.working_size import LARGEST

from .input_files import open_image


@dataclass(frozen=True)
class Margins:
    """Pixels to add at each edge."""

    left: int
    top: int
    right: int
    bottom: int

    def scaled(self, scale: float) -> Margins:
        sides = (self.left, self.top, self.right, self.bottom)
        return Margins(*(round(side * scale) for side in sides))


@dataclass(frozen=True)
class Expanded:
    """Canvas and mask as PNG files, and their size in pixels. The mask is white outside the image."""

    canvas: bytes
    mask: bytes
    width: int
    height: int


Box = tuple[int, int, int, int]  # left, top, right, bottom


class NothingToGenerate(ValueError):
    """The image covers the whole frame."""


class NothingKept(ValueError):
    """The image is outside of the frame, or has no pixels left."""


class TooLarge(ValueError):
    """A side of the canvas exceeds ``LARGEST`` pixels."""


@few_at_a_time
def expanded(data: bytes, margins: Margins, most: tuple[int, int] | None = None) -> Expanded:
    """Build the canvas and the mask. Image and margins are scaled down to fit ``most`` (width, height).

    Raises TooLarge.
    """
    image = flatten(open_image(data))
    width, height = _around(image, margins)
    if most is not None:
        scale = min(1.0, most[0] / width, most[1] / height)
        if scale < 1:
            smaller = (max(1, int(image.width * scale)), max(1, int(image.height * scale)))
            image, margins = image.resize(smaller, Image.Resampling.LANCZOS), margins.scaled(scale)
            width, height = (
                min(side, limit) for side, limit in zip(_around(image, margins), most, strict=True)
            )
    if max(width, height) > LARGEST:
        raise TooLarge(f"{width}x{height}")
    canvas, mask = Image.new("RGB", (width, height)), Image.new("L", (width, height), 255)
    corner = margins.left, margins.top
    canvas.paste(image, corner)
    mask.paste(0, (*corner, corner[0] + image.width, corner[1] + image.height))
    return Expanded(_png(canvas), _png(mask), width, height)


@few_at_a_time
def framed(data: bytes, size: tuple[int, int], box: Box) -> Expanded:
    """Build a canvas of ``size`` with the image stretched to ``box``, which may reach beyond the canvas, and its mask.

    Raises NothingToGenerate or NothingKept.
    """
    left, top, right, bottom = max(box[0], 0), max(box[1], 0), min(box[2], size[0]), min(box[3], size[1])
    if left >= right or top >= bottom:
        raise NothingKept
    if (left, top, right, bottom) == (0, 0, *size):
        raise NothingToGenerate
    image = flatten(open_image(data))
    # Only what is visible is resized: the box may be much larger than the canvas.
    across, down = image.width / (box[2] - box[0]), image.height / (box[3] - box[1])
    visible = (
        (left - box[0]) * across,
        (top - box[1]) * down,
        (right - box[0]) * across,
        (bottom - box[1]) * down,
    )
    part = image.resize((right - left, bottom - top), Image.Resampling.LANCZOS, box=visible)
    canvas, mask = Image.new("RGB", size), Image.new("L", size, 255)
    canvas.paste(part, (left, top))
    mask.paste(0, (left, top, right, bottom))
    return Expanded(_png(canvas), _png(mask), *size)


def _around(image: Image.Image, margins: Margins) -> tuple[int, int]:
    return image.width + margins.left + margins.right, image.height + margins.top + margins.bottom


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
