"""Comparison of two jobs: pairs of images with their pixel differences."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from django.utils.translation import gettext as _

from jobs.images.storage import read_output
from jobs.models import Job, Output
from jobs.reproduction.pixels import Difference, difference

MAX_MEASURED_PAIRS = 16


@dataclass(frozen=True)
class Pair:
    first: Output | None
    second: Output | None
    difference: Difference | None = None
    reason: str = ""  # why there is no difference

    @property
    def both(self) -> tuple[Output | None, Output | None]:
        return self.first, self.second


def context(job: Job, other: Job) -> dict[str, Any]:
    """Template context: the images of both jobs, paired by index. At most MAX_MEASURED_PAIRS are measured."""
    images = zip_longest(job.image_outputs, other.image_outputs)
    return {"pairs": [_pair(*pair, measured=index < MAX_MEASURED_PAIRS) for index, pair in enumerate(images)]}


def _pair(first: Output | None, second: Output | None, *, measured: bool) -> Pair:
    if first is None or second is None:
        return Pair(first, second, reason=_("Only one of the jobs has this image."))
    if not measured:
        text = _("Not measured: only the first %(n)d pairs of images are.")
        return Pair(first, second, reason=text % {"n": MAX_MEASURED_PAIRS})
    if first.frames or second.frames:
        return Pair(first, second, reason=_("Videos are not compared."))
    try:
        found = difference(read_output(first), read_output(second))
    except FileNotFoundError:  # deleted by retention
        return Pair(first, second, reason=_("One of the images was deleted."))
    if found is None:
        sizes = [f"{image.width}×{image.height}" for image in (first, second)]
        text = _("The images have different sizes: %(first)s and %(second)s.")
        return Pair(first, second, reason=text % {"first": sizes[0], "second": sizes[1]})
    return Pair(first, second, found)
