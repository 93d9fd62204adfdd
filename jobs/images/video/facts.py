"""Facts of a video file: size in pixels, frames, duration."""

from __future__ import annotations

from typing import NamedTuple

MAX_SIDE = 8192
MAX_DURATION_S = 3600.0
MAX_FRAMES = 100_000


class BadVideo(ValueError):
    """The file is damaged, or not what it claims to be."""


class VideoFacts(NamedTuple):
    """Size in pixels, number of frames, and duration in seconds."""

    width: int
    height: int
    frames: int
    duration_s: float

    @property
    def fps(self) -> float:
        """Frames per second, on average."""
        return self.frames / self.duration_s if self.duration_s else 0.0

    def checked(self) -> VideoFacts:
        """Return the facts if they are plausible. Raises BadVideo."""
        if not (0 < self.width <= MAX_SIDE and 0 < self.height <= MAX_SIDE):
            raise BadVideo(f"its size is {self.width} x {self.height} pixels")
        if not 0 < self.frames <= MAX_FRAMES:
            raise BadVideo(f"it has {self.frames} frames")
        if not 0 < self.duration_s <= MAX_DURATION_S:
            raise BadVideo(f"its duration is {self.duration_s:g} seconds")
        return self
