"""How large a picture is drawn."""

from __future__ import annotations

from typing import Any

from gpu_runner.protocol.working_size import working_size

from .fields import LARGEST, SMALLEST

DEFAULT = 512
MULTIPLE = 8
Size = tuple[int, int]


def asked(values: dict[str, Any]) -> Size:
    return _down(values["width"] or DEFAULT), _down(values["height"] or DEFAULT)


def of_picture(values: dict[str, Any], own: Size) -> Size:
    """The init image's size, smaller in the same proportions where it is larger than what was asked for."""
    most = _down(values["width"] or LARGEST), _down(values["height"] or LARGEST)
    scale = min(1.0, *(limit / side for limit, side in zip(most, own, strict=True)))
    found = working_size(*own, long_side=max(1, round(max(own) * scale)))
    return min(found[0], most[0]), min(found[1], most[1])


def half(size: Size) -> Size:
    return _down(max(SMALLEST, size[0] // 2)), _down(max(SMALLEST, size[1] // 2))


def doubled(size: Size) -> Size:
    return size[0] * 2, size[1] * 2


def _down(side: int) -> int:
    return side // MULTIPLE * MULTIPLE
