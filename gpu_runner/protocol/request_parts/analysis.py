"""Analysis of images: the results are data."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from .values import Fraction, Name, StrictModel


class Analysis(StrictModel):
    """Parameters of task=analyze: what to find in each init image. The results are data (Findings), not images."""

    find: Literal["faces", "tags", "nsfw"]
    model: Name = ""  # face detector, tagger or NSFW detector; empty: the default one
    threshold: Fraction | None = None  # minimum score; None: the model's default
    character_threshold: Fraction | None = None  # the same for tags of characters
    crops: bool = False  # faces of one image: also return an image of each

    @model_validator(mode="after")
    def only_tags_have_characters(self) -> Analysis:
        if self.character_threshold is not None and self.find != "tags":
            raise ValueError(f"character_threshold is only allowed with find=tags (got find={self.find})")
        return self

    @property
    def model_kind(self) -> str:
        """Kind of the model in the registry."""
        return ANALYSIS_MODELS[self.find]


ANALYSIS_MODELS = {"faces": "face_detector", "tags": "tagger", "nsfw": "nsfw"}
