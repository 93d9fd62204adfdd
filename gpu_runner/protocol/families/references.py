"""Reference images: what a family that edits by instruction reads beside the latent. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpu_runner.protocol.generation_request import GenerationRequest

MEGAPIXEL = 1024 * 1024
VISION_TOKEN = 28  # side in pixels of what one token of Qwen2.5-VL sees
WIDEST = 8.0  # aspect ratio; longer images are squeezed to it
# Sizes that FLUX.1 Kontext was trained on: PREFERRED_KONTEXT_RESOLUTIONS of its pipeline in diffusers.
KONTEXT_SIZES = (
    *((672, 1568), (688, 1504), (720, 1456), (752, 1392), (800, 1328), (832, 1248), (880, 1184), (944, 1104)),
    (1024, 1024),
    *((1104, 944), (1184, 880), (1248, 832), (1328, 800), (1392, 752), (1456, 720), (1504, 688), (1568, 672)),
)


@dataclass(frozen=True)
class References:
    """``most``: number of reference images for one output.

    ``sizes``: those that a reference is resized to, of which the one with the nearest aspect ratio counts. Without them,
    it keeps its aspect ratio: with an area of ``area``, or of the output where that is smaller and ``grows`` is False.
    ``vision_area``: area in which the text encoder reads the images; 0: it does not. ``clean``: their tokens are modulated
    as those of an image at t = 0.
    """

    most: int
    area: int = MEGAPIXEL
    grows: bool = True
    multiple: int = 32  # of sides in pixels
    sizes: tuple[tuple[int, int], ...] = ()
    vision_area: int = 0
    clean: bool = False

    def size(self, width: int, height: int, output_pixels: int) -> tuple[int, int]:
        """Width and height in pixels in which an image of this size is encoded by the VAE."""
        if self.sizes:
            return min(self.sizes, key=lambda size: abs(width / height - size[0] / size[1]))
        return scaled(width, height, self.pixels(output_pixels), self.multiple)

    def pixels(self, output_pixels: int) -> int:
        """Nominal area of a reference in pixels, by which it is priced."""
        return self.area if self.grows else min(self.area, output_pixels)

    def vision_sizes(self, width: int, height: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Width and height in pixels in which the text encoder gets an image, and those to which it resizes it."""
        sides = scaled(width, height, self.vision_area, 32)
        wide, high = (max(VISION_TOKEN * 2, round(side / VISION_TOKEN) * VISION_TOKEN) for side in sides)
        return sides, (wide, high)


def scaled(width: int, height: int, area: int, multiple: int) -> tuple[int, int]:
    """A size of about this area with the aspect ratio of an image; as ``calculate_dimensions`` in diffusers' Qwen-Image."""
    ratio = min(max(width / height, 1 / WIDEST), WIDEST)
    wide = math.sqrt(area * ratio)
    sides = (max(multiple, round(side / multiple) * multiple) for side in (wide, wide / ratio))
    return next(sides), next(sides)


@dataclass(frozen=True)
class TooMany:
    """More reference images than a family takes, which may be none at all."""

    field: str
    count: int
    most: int


def too_many(references: References | None, request: GenerationRequest) -> Iterator[TooMany]:
    """The init image of a request is the first reference of its output, where the family takes any."""
    most = references.most if references else 0
    count = len(request.images) + (1 if references and request.init_images else 0)
    if request.images and count > most:
        yield TooMany("images", count, most)
