"""Pixels of images: their hash, and the difference of two images with a picture of it."""

from __future__ import annotations

import hashlib
import io
import math
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageStat

from gpu_runner.protocol.images.files import few_at_a_time
from jobs.images.input_files import open_image

PEAK = 255


@few_at_a_time
def pixels_sha256(data: bytes) -> str:
    """SHA-256 of mode and size, and of the decoded pixels: the same for files that differ in their metadata only."""
    image = open_image(data)
    head = f"{image.mode} {image.width}x{image.height}\n"
    return hashlib.sha256(head.encode() + image.tobytes()).hexdigest()


@dataclass(frozen=True)
class Difference:
    """Absolute pixel differences of two images, in units of 8-bit channels (0 to 255)."""

    mean: float  # over all pixels and channels
    largest: int
    share: float  # fraction of pixels that differ in any channel, 0 to 1
    psnr: float | None  # peak signal-to-noise ratio in dB; None: no difference

    @property
    def is_none(self) -> bool:
        return not self.largest

    @property
    def percent(self) -> float:
        return 100 * self.share


@few_at_a_time
def difference(first: bytes, second: bytes) -> Difference | None:
    """Difference of two encoded images; None if their sizes differ."""
    channels = _differing_channels(first, second)
    if channels is None:
        return None
    histogram = _of_any_channel(channels).histogram()
    statistics = [ImageStat.Stat(channel) for channel in channels]
    mean_square = sum(one.sum2[0] / one.count[0] for one in statistics) / len(channels)
    return Difference(
        mean=sum(one.mean[0] for one in statistics) / len(channels),
        largest=max(value for value, count in enumerate(histogram) if count),
        share=1 - histogram[0] / sum(histogram),
        psnr=10 * math.log10(PEAK**2 / mean_square) if mean_square else None,
    )


@few_at_a_time
def difference_picture(first: bytes, second: bytes) -> bytes | None:
    """PNG of the absolute differences, scaled so that the largest one is white; None if the sizes differ.

    A difference in transparency brightens all channels.
    """
    channels = _differing_channels(first, second)
    if channels is None:
        return None
    visible = channels[:3]
    if len(channels) > 3:
        visible = [ImageChops.lighter(channel, channels[3]) for channel in visible]
    largest = max(int(channel.getextrema()[1]) for channel in visible) or 1  # type: ignore[arg-type]
    scaled = Image.merge("RGB", visible).point(lambda value: value * PEAK // largest)
    file = io.BytesIO()
    scaled.save(file, "PNG")
    return file.getvalue()


def _differing_channels(first: bytes, second: bytes) -> list[Image.Image] | None:
    one, two = open_image(first), open_image(second)
    if one.size != two.size:
        return None
    mode = "RGBA" if "RGBA" in (one.mode, two.mode) else "RGB"
    return list(ImageChops.difference(one.convert(mode), two.convert(mode)).split())


def _of_any_channel(channels: list[Image.Image]) -> Image.Image:
    largest = channels[0]
    for channel in channels[1:]:
        largest = ImageChops.lighter(largest, channel)
    return largest
