"""Comparison of two jobs: pairs of images with their pixel differences."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from jobs.images.storage import read_output
from jobs.models import Job, Output
from jobs.reproduction.pixels import Difference, difference

MAX_MEASURED_PAIRS = 16


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


def _pair(first: Output | None, second: Output | None, *, measured: bool) -> Pair:
    if first is None or second is None or not measured:
        return Pair(first, second)
    try:
        return Pair(first, second, difference(read_output(first), read_output(second)))
    except FileNotFoundError:  # deleted by retention
        return Pair(first, second)
