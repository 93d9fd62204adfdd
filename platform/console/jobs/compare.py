"""Comparison of two jobs: pairs of images with their pixel differences."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from PIL import ImageChops, ImageStat

from jobs.images.input_files import open_image
from jobs.images.storage import read_output
from jobs.models import Job, Output

MAX_MEASURED_PAIRS = 16


@dataclass(frozen=True)
class Difference:
    """Absolute pixel differences of two RGB images, in units of 8-bit channels (0 to 255)."""

    mean: float  # over all pixels and channels
    largest: int
    share: float  # fraction of pixels that differ in any channel, 0 to 1

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
    difference: Difference | None = None  # None: not comparable

    @property
    def both(self) -> tuple[Output | None, Output | None]:
        return self.first, self.second


def context(job: Job, other: Job) -> dict[str, Any]:
    """Template context: the images of both jobs, paired by index. At most MAX_MEASURED_PAIRS are measured."""
    images = zip_longest(job.image_outputs, other.image_outputs)
    return {"pairs": [_pair(*pair, measured=index < MAX_MEASURED_PAIRS) for index, pair in enumerate(images)]}


def difference(first: bytes, second: bytes) -> Difference | None:
    """Difference of two encoded images; None if their sizes differ."""
    one, two = open_image(first), open_image(second)
    if one.size != two.size:
        return None
    per_channel = ImageChops.difference(one.convert("RGB"), two.convert("RGB"))
    red, green, blue = per_channel.split()
    per_pixel = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    histogram = per_pixel.histogram()
    share = 1 - histogram[0] / sum(histogram)
    largest = max(value for value, count in enumerate(histogram) if count)
    return Difference(mean=sum(ImageStat.Stat(per_channel).mean) / 3, largest=largest, share=share)


def _pair(first: Output | None, second: Output | None, *, measured: bool) -> Pair:
    if first is None or second is None or not measured:
        return Pair(first, second)
    try:
        return Pair(first, second, difference(read_output(first), read_output(second)))
    except FileNotFoundError:  # deleted by retention
        return Pair(first, second)
