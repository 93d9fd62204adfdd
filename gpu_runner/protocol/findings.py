"""Results of task=analyze: what was found in an image. No torch, no Django."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .generation_request import Fraction, StrictModel

Point = tuple[float, float]  # x, y in pixels of the image


class FoundFace(StrictModel):
    """A face in pixels of the image, from its top left corner. The box may extend beyond the image."""

    score: Fraction
    box: tuple[float, float, float, float]  # left, top, right, bottom
    # Two eyes, the tip of the nose, two corners of the mouth; of each pair, the one further left in the image first.
    landmarks: tuple[Point, Point, Point, Point, Point]


class FacesFound(StrictModel):
    """Faces of an image by descending score."""

    find: Literal["faces"] = "faces"
    width: int  # of the image, upright
    height: int
    faces: tuple[FoundFace, ...]


class NsfwFound(StrictModel):
    """Verdict of the NSFW detector."""

    find: Literal["nsfw"] = "nsfw"
    detected: bool  # whether ``score`` is at least ``threshold``
    score: Fraction
    threshold: Fraction


Finding = Annotated[FacesFound | NsfwFound, Field(discriminator="find")]


class ImageFindings(StrictModel):
    """What was found in the init image with this index."""

    index: int = Field(ge=0)
    data: Finding
