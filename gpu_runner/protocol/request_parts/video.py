"""Parameters of a video, which a ComfyUI workflow makes of the request."""

from __future__ import annotations

from pydantic import Field

from .values import StrictModel

MAX_FRAMES = 2000


class Video(StrictModel):
    """Length and speed of a video. None: the workflow's."""

    frames: int | None = Field(default=None, ge=2, le=MAX_FRAMES)
    fps: float | None = Field(default=None, gt=0, le=120, allow_inf_nan=False)
