"""Generation size, in pixels (width, height). Sides are rounded down to multiples of 8."""

from __future__ import annotations

from typing import Any

from gpu_runner.protocol.images.working_size import working_size

from .fields import LARGEST, SMALLEST

DEFAULT_SIDE = 512
SIZE_MULTIPLE = 8
Size = tuple[int, int]


def requested(values: dict[str, Any]) -> Size:
    """``width`` and ``height``, or their defaults."""
    return _round_down(values["width"] or DEFAULT_SIDE), _round_down(values["height"] or DEFAULT_SIDE)


def of_image(values: dict[str, Any], image_size: Size) -> Size:
    """Size of the init image, scaled down to fit into ``width`` and ``height``."""
    limits = _round_down(values["width"] or LARGEST), _round_down(values["height"] or LARGEST)
    scale = min(1.0, *(limit / side for limit, side in zip(limits, image_size, strict=True)))
    size = working_size(*image_size, long_side=max(1, round(max(image_size) * scale)))
    return min(size[0], limits[0]), min(size[1], limits[1])


def half(size: Size) -> Size:
    """Half the size, but no side below the minimum."""
    return _round_down(max(SMALLEST, size[0] // 2)), _round_down(max(SMALLEST, size[1] // 2))


def doubled(size: Size) -> Size:
    return size[0] * 2, size[1] * 2


def _round_down(side: int) -> int:
    return side // SIZE_MULTIPLE * SIZE_MULTIPLE
