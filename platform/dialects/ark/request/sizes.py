"""Generation size: ``1024x1024``, a class of area (``1K``, ``2K``, ``4K``), or the checkpoint's own area (``auto``)."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from django.utils.translation import gettext as _

from dialects.ark.errors import ArkError
from dialects.image_sizes import parse_size, size_text

CLASSES = {"1K": 1024, "2K": 2048, "4K": 4096}  # side of a square with that area
SMALLEST, LARGEST, MULTIPLE = 64, 4096, 8
# The ratios that the vendor documents, in a prompt: "16:9", also with the Chinese colon. Neither a part of a longer
# number nor A1111's emphasis, "(16:9)".
RATIOS = ("1:1", "4:3", "3:4", "16:9", "9:16", "3:2", "2:3", "21:9", "9:21", "5:4", "4:5", "2:1", "1:2")
RATIO = re.compile(r"(?<![0-9.:(\[])\b([0-9]{1,2})[:：]([0-9]{1,2})(?![0-9.:])")
# From this multiple of the checkpoint's own area on, an image is generated at that area first and then refined:
# generated in one pass, it would show its subject more than once.
REFINED_FROM = 1.5


class Size(NamedTuple):
    width: int
    height: int

    @property
    def area(self) -> int:
        return self.width * self.height

    def __str__(self) -> str:
        return size_text(*self)


def requested_size(text: str | None, native: Size, prompt: str, image: Size | None) -> Size:
    """The size of a request. Classes and ``auto`` have the ratio of the input image, else that in the prompt.

    Raises ArkError for a text of another form, and for a size that no request may have.
    """
    name = (text or "auto").strip()
    if found := parse_size(name):
        return _checked(Size(*found))
    ratio = _ratio(image or _ratio_in(prompt) or native)
    if name.lower() == "auto":
        return with_area(native.area, ratio)
    side = CLASSES.get(name.upper())
    if side is None:
        message = _("size must be WIDTHxHEIGHT, 1K, 2K, 4K or auto (got %(size)s)")
        raise ArkError.invalid("size", message % {"size": name[:20]})
    return _checked(with_area(side * side, ratio))


def first_pass(size: Size, native: Size) -> Size | None:
    """The size of the first of two passes; None if one is enough."""
    if size.area < native.area * REFINED_FROM:
        return None
    return with_area(native.area, _ratio(size))


def with_area(area: int, ratio: float) -> Size:
    """The size with this area and ratio of width to height, in multiples of 8."""
    return Size(_side(math.sqrt(area * ratio)), _side(math.sqrt(area / ratio)))


def _side(length: float) -> int:
    return max(SMALLEST, round(length / MULTIPLE) * MULTIPLE)


def _ratio(size: tuple[int, int]) -> float:
    return size[0] / size[1]


def _ratio_in(prompt: str) -> tuple[int, int] | None:
    for found in RATIO.finditer(prompt):
        if f"{found[1]}:{found[2]}" in RATIOS:
            return int(found[1]), int(found[2])
    return None


def _checked(size: Size) -> Size:
    if all(SMALLEST <= side <= LARGEST and side % MULTIPLE == 0 for side in size):
        return size
    message = _("size: width and height must be multiples of 8 from %(least)d to %(most)d (got %(size)s)")
    raise ArkError.invalid("size", message % {"least": SMALLEST, "most": LARGEST, "size": str(size)})
