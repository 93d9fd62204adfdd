"""Postprocessing of a generated image on a helper thread: NSFW check and PNG encoding."""

from __future__ import annotations

from dataclasses import dataclass

from gpu_runner.imaging import images
from gpu_runner.imaging.nsfw import NsfwCheck, NsfwVerdict
from gpu_runner.tasks.generation import RawOutput


@dataclass(frozen=True)
class Finished:
    """An encoded image and the result of its NSFW check."""

    png: bytes
    width: int
    height: int
    verdict: NsfwVerdict | None  # None: not checked
    regions_left_out: int = 0


def finish(raw: RawOutput, check: NsfwCheck | None) -> Finished:
    """Check the image and encode it as PNG. Raises nsfw.NsfwDetected if the check rejects it."""
    image = raw.image()
    image, verdict = check.apply(image) if check else (image, None)
    return Finished(images.png(image), image.width, image.height, verdict, raw.regions_left_out)
