"""Postprocessing on a helper thread: NSFW check and PNG encoding of a generated image, examination of an input image."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from gpu_runner.imaging import images
from gpu_runner.imaging.nsfw import NsfwCheck, NsfwVerdict
from gpu_runner.protocol import Finding
from gpu_runner.tasks.generation import Examination, RawOutput


@dataclass(frozen=True)
class Finished:
    """An encoded image and the result of its NSFW check."""

    png: bytes
    width: int
    height: int
    verdict: NsfwVerdict | None  # None: not checked
    regions_left_out: int = 0


@dataclass(frozen=True)
class Examined:
    """What was found in an input image, and images of it."""

    finding: Finding
    crops: tuple[Finished, ...] = ()


def finish(raw: RawOutput | Examination, check: NsfwCheck | None) -> Finished | Examined:
    """Check the image and encode it as PNG, or return what the examination finds.

    Raises nsfw.NsfwDetected if the check rejects the image.
    """
    if isinstance(raw, Examination):
        finding = raw.finding()
        return Examined(finding, tuple(_finished(crop, check) for crop in raw.crops(finding)))
    return _finished(raw.image(), check, raw.regions_left_out)


def _finished(image: Image.Image, check: NsfwCheck | None, regions_left_out: int = 0) -> Finished:
    image, verdict = check.apply(image) if check else (image, None)
    return Finished(images.png(image), image.width, image.height, verdict, regions_left_out)
