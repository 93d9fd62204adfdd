"""Tags of an image by a WD14 tagger (SmilingWolf): a multi-label classifier with Danbooru's tags.

The input is prepared as by the author's script: on a white square, 448 pixels, blue, green and red from 0 to 255.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from gpu_runner.networks.onnx_model import Array, OnnxModel
from gpu_runner.protocol.findings import MAX_TAGS, FoundTag, TagsFound
from gpu_runner.protocol.model_detection.tag_table import TagRow

GENERAL_THRESHOLD, CHARACTER_THRESHOLD = 0.35, 0.85  # those of the author's script


@dataclass(frozen=True)
class Tagger:
    """A tagger and the tags of its outputs."""

    model: OnnxModel
    rows: tuple[TagRow, ...]

    def scores(self, image: Image.Image) -> Array:
        """Return the score of each tag, from 0 to 1."""
        return self.model.run(_input(image, self.model.detail["side"]))[0].clip(0, 1)


def find_tags(
    tagger: Tagger, image: Image.Image, threshold: float | None, character_threshold: float | None
) -> TagsFound:
    """Return the tags with at least these scores, the highest first; None: the default threshold."""
    general = GENERAL_THRESHOLD if threshold is None else threshold
    characters = CHARACTER_THRESHOLD if character_threshold is None else character_threshold
    scores = tagger.scores(image)
    ranked = [
        FoundTag(name=row.name, category=row.category, score=round(float(scores[number]), 4))
        for number in np.argsort(-scores, kind="stable")
        for row in [tagger.rows[number]]
        if row.category == "rating"
        or scores[number] >= (characters if row.category == "character" else general)
    ]
    tags = [tag for tag in ranked if tag.category != "rating"][:MAX_TAGS]
    return TagsFound(tags=tuple(tags), ratings=tuple(tag for tag in ranked if tag.category == "rating"))


def _input(image: Image.Image, side: int) -> Array:
    longest = max(image.size)
    square = Image.new("RGB", (longest, longest), "white")
    square.paste(image.convert("RGB"), ((longest - image.width) // 2, (longest - image.height) // 2))
    pixels = np.asarray(square.resize((side, side), Image.Resampling.BICUBIC), np.float32)
    return np.ascontiguousarray(pixels[None, :, :, ::-1])
