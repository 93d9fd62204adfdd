"""The size that a checkpoint was trained at, which is the best one for its images."""

from __future__ import annotations

from gpu_runner.protocol.families.registry import FAMILIES
from models_registry.facts.metadata import stated_size
from models_registry.models import ModelFile

OTHER_SIDE = 512


def native_size(checkpoint: ModelFile) -> tuple[int, int]:
    """Width and height in pixels, in multiples of 8: its default size, else as the file says, else that of its family."""
    if checkpoint.default_width and checkpoint.default_height:
        return checkpoint.default_width, checkpoint.default_height
    side = usual_side(checkpoint.family)
    return stated_size(checkpoint.metadata) or (side, side)


def usual_side(family: str) -> int:
    """The side in pixels that images of a family usually have."""
    return FAMILIES[family].defaults.side if family in FAMILIES else OTHER_SIDE
