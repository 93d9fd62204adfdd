"""What was found in an image: results of task=analyze, and the poses of a control map. No torch, no Django."""

from __future__ import annotations

import re
from itertools import chain
from typing import Annotated, Any, Literal

from pydantic import Field

from .request_parts.values import Fraction, StrictModel

MAX_TAGS = 1000  # of an image; a threshold of 0 would give all that a tagger knows
# Tags that are drawn with their underscores: emoticons.
EMOTICONS = frozenset(
    {"0_0", "(o)_(o)", "+_+", "+_-", "._.", "<o>_<o>", "<|>_<|>", "=_=", ">_<", "3_3", "6_9", ">_o", "@_@"}
    | {"^_^", "o_o", "u_u", "x_x", "|_|", "||_||"}
)
SPECIAL = re.compile(r"([\\()])")  # have a meaning in A1111's prompt syntax

TagCategory = Literal["general", "artist", "copyright", "character", "meta", "rating"]
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


class FoundTag(StrictModel):
    """A tag, as it is written in the tagger's table."""

    name: str
    score: Fraction
    category: TagCategory

    def in_prompt(self, *, spaces: bool = True, escaped: bool = True) -> str:
        """The tag as a part of a prompt: spaces for underscores, and backslashes before brackets."""
        text = self.name.replace("_", " ") if spaces and self.name not in EMOTICONS else self.name
        return SPECIAL.sub(r"\\\1", text) if escaped else text


class TagsFound(StrictModel):
    """Tags of an image by descending score, and the scores of all ratings."""

    find: Literal["tags"] = "tags"
    tags: tuple[FoundTag, ...]
    ratings: tuple[FoundTag, ...] = ()

    def as_prompt(self) -> str:
        """The tags as a prompt in A1111's syntax."""
        return ", ".join(tag.in_prompt() for tag in self.tags)


KeyPoints = tuple[Point | None, ...]  # None: not visible


class FoundPerson(StrictModel):
    """Key points of OpenPose. Empty: not looked for, or not found."""

    body: KeyPoints = Field(default=(), max_length=18)
    left_hand: KeyPoints = Field(default=(), max_length=21)
    right_hand: KeyPoints = Field(default=(), max_length=21)
    face: KeyPoints = Field(default=(), max_length=70)


class PosesFound(StrictModel):
    """People of an image, as they are drawn in the control map, whose size the image has here."""

    find: Literal["poses"] = "poses"
    width: int
    height: int
    people: tuple[FoundPerson, ...]

    def openpose_json(self) -> dict[str, Any]:
        """The JSON of A1111's ControlNet extension, with coordinates as shares of the canvas."""
        people = [
            {
                "pose_keypoints_2d": self._numbers(person.body),
                "face_keypoints_2d": self._numbers(person.face),
                "hand_left_keypoints_2d": self._numbers(person.left_hand),
                "hand_right_keypoints_2d": self._numbers(person.right_hand),
            }
            for person in self.people
        ]
        return {"people": people, "animals": [], "canvas_height": self.height, "canvas_width": self.width}

    def _numbers(self, points: KeyPoints) -> list[float] | None:
        """x, y and confidence of each point; None for a part that was not looked for, or not found."""
        triples = (
            [point[0] / self.width, point[1] / self.height, 1.0] if point else [0.0, 0.0, 0.0]
            for point in points
        )
        return list(chain.from_iterable(triples)) or None


Finding = Annotated[FacesFound | TagsFound | NsfwFound | PosesFound, Field(discriminator="find")]


class ImageFindings(StrictModel):
    """What was found in the init image with this index."""

    index: int = Field(ge=0)
    data: Finding
