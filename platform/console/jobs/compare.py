"""Two jobs' pictures beside each other, and how far they are apart."""

from __future__ import annotations

import io
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from PIL import Image, ImageChops, ImageStat

from jobs.images.storage import read_output
from jobs.models import Job, Output

MOST_MEASURED = 16


@dataclass(frozen=True)
class Difference:
    """Over all pixels and the three channels, each of which goes from 0 to 255."""

    mean: float
    largest: int
    share: float  # of the pixels that differ at all

    @property
    def is_none(self) -> bool:
        return not self.largest

    @property
    def percent(self) -> float:
        return 100 * self.share


@dataclass(frozen=True)
class Pair:
    first: Output | None
    second: Output | None
    difference: Difference | None = None  # None: they cannot be compared

    @property
    def both(self) -> tuple[Output | None, Output | None]:
        return self.first, self.second


def context(job: Job, other: Job) -> dict[str, Any]:
    pictures = zip_longest(job.pictures, other.pictures)
    return {"pairs": [_pair(*pair, measured=at < MOST_MEASURED) for at, pair in enumerate(pictures)]}


def difference(first: bytes, second: bytes) -> Difference | None:
    """None for pictures of different sizes."""
    with Image.open(io.BytesIO(first)) as one, Image.open(io.BytesIO(second)) as two:
        if one.size != two.size:
            return None
        apart = ImageChops.difference(one.convert("RGB"), two.convert("RGB"))
    red, green, blue = apart.split()
    most = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    histogram = most.histogram()
    share = 1 - histogram[0] / sum(histogram)
    largest = max(value for value, count in enumerate(histogram) if count)
    return Difference(mean=sum(ImageStat.Stat(apart).mean) / 3, largest=largest, share=share)


def _pair(first: Output | None, second: Output | None, *, measured: bool) -> Pair:
    if first is None or second is None or not measured:
        return Pair(first, second)
    try:
        return Pair(first, second, difference(read_output(first), read_output(second)))
    except FileNotFoundError:  # its time is over
        return Pair(first, second)
