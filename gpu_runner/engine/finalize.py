"""The last things done to a picture, beside the engine's thread: it is checked, and becomes a file."""

from __future__ import annotations

from dataclasses import dataclass

from gpu_runner.imaging import images
from gpu_runner.imaging.nsfw import NsfwCheck, NsfwVerdict
from gpu_runner.tasks.generation import RawOutput


@dataclass(frozen=True)
class Finished:
    png: bytes
    width: int
    height: int
    verdict: NsfwVerdict | None  # None: nobody looked


def finish(drawn: RawOutput, check: NsfwCheck | None) -> Finished:
    """Raises nsfw.Unfit."""
    picture = drawn.picture()
    picture, verdict = check.apply(picture) if check else (picture, None)
    return Finished(images.png(picture), picture.width, picture.height, verdict)
