"""Animated WebP, PNG and GIF files: read and written again frame by frame, with labels. Pillow does it."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from PIL import Image

from gpu_runner.protocol.images import files as image_files
from gpu_runner.protocol.video.media_types import APNG, GIF, WEBP
from jobs.images import file_metadata
from jobs.images.labels.implicit import ImplicitLabel

from .facts import MAX_FRAMES, BadVideo, VideoFacts

FORMATS = {APNG: "PNG", WEBP: "WEBP", GIF: "GIF"}
DEFAULT_MS = 100  # of a frame without a duration, as browsers show it
MAX_PIXELS = 512 * 1024 * 1024  # of all frames together, which are in memory at once
LOSSLESS = b"VP8L"
QUALITY = 90


def rewritten(
    data: bytes, media_type: str, draw: Callable[[Image.Image], Image.Image], label: ImplicitLabel
) -> tuple[bytes, VideoFacts]:
    """Return the file with each frame drawn upon by ``draw``, with the label's metadata and no other, and its facts.

    Raises BadVideo.
    """
    frames, durations, loop = _frames(data)
    drawn = [draw(frame) for frame in frames]
    file = io.BytesIO()
    options: dict[str, Any] = {
        "save_all": True,
        "append_images": drawn[1:],
        "duration": durations,
        "loop": loop,
    }
    if media_type == WEBP:
        options |= {"lossless": LOSSLESS in data[:4096], "quality": QUALITY}
        options |= {"xmp": label.xmp, "exif": file_metadata.exif_of(label)}
    drawn[0].save(file, FORMATS[media_type], **options)
    width, height = drawn[0].size
    facts = VideoFacts(width, height, len(drawn), sum(durations) / 1000).checked()
    return _labeled(file.getvalue(), media_type, label), facts


def _labeled(data: bytes, media_type: str, label: ImplicitLabel) -> bytes:
    if media_type == APNG:
        return file_metadata.with_label(data, label)
    if (
        media_type == GIF and label.xmp
    ):  # an application extension, as the XMP specification describes it (part 3)
        magic = bytes([1, *range(255, -1, -1), 0])
        start = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)  # after the global color table
        return data[:start] + b"\x21\xff\x0bXMP DataXMP" + label.xmp + magic + data[start:]
    return data


def sampled(data: bytes, count: int) -> list[Image.Image]:
    """Return up to ``count`` frames, spread over the file, the first included. Raises BadVideo."""
    frames, _durations, _loop = _frames(data)
    step = max(1, len(frames) // max(1, count))
    return frames[::step][:count]


def _frames(data: bytes) -> tuple[list[Image.Image], list[int], int]:
    frames: list[Image.Image] = []
    durations: list[int] = []
    try:
        with image_files.opened(data) as image:
            count = getattr(image, "n_frames", 1)
            if count > MAX_FRAMES or count * image.width * image.height > MAX_PIXELS:
                raise BadVideo(
                    f"it has {count} frames of {image.width} x {image.height} pixels, which is too much"
                )
            for index in range(count):
                image.seek(index)
                image.load()
                frames.append(image.convert("RGBA" if image.has_transparency_data else "RGB"))
                durations.append(round(float(image.info.get("duration") or DEFAULT_MS)))
            return frames, durations, int(image.info.get("loop") or 0)
    except image_files.UnusableImage as error:
        raise BadVideo("the file is damaged") from error
