"""Grid of overlapping tiles, as A1111's script "SD upscale" divides an image. No torch: the platform counts tiles with it."""

from __future__ import annotations

import math

Tile = tuple[int, int]  # left, top


def tile_rows(size: tuple[int, int], tile: tuple[int, int], overlap: int) -> list[list[Tile]]:
    """Return the positions of the tiles, row by row.

    ``size`` and ``tile`` are (width, height); tiles are at most as large as the image, and larger than ``overlap``. They
    are spread evenly, so that they overlap by at least ``overlap`` pixels.
    """
    lefts, tops = (_starts(length, side, overlap) for length, side in zip(size, tile, strict=True))
    return [[(left, top) for left in lefts] for top in tops]


def _starts(length: int, side: int, overlap: int) -> list[int]:
    count = max(1, math.ceil((length - overlap) / (side - overlap)))
    step = (length - side) / (count - 1) if count > 1 else 0
    return [min(int(index * step), length - side) for index in range(count)]
