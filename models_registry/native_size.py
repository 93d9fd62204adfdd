"""The size that a checkpoint was trained at, which is the best one for its images."""

from __future__ import annotations

from models_registry.facts.metadata import stated_size
from models_registry.models import Family, ModelFile

SIDES: dict[str, int] = {Family.SD15: 512, Family.SD2: 768, Family.SDXL: 1024}
OTHER_SIDE = 512


def native_size(checkpoint: ModelFile) -> tuple[int, int]:
    """Width and height in pixels, in multiples of 8: its default size, else as the file says, else that of its family."""
    if checkpoint.default_width and checkpoint.default_height:
        return checkpoint.default_width, checkpoint.default_height
    side = SIDES.get(checkpoint.family, OTHER_SIDE)
    return stated_size(checkpoint.metadata) or (side, side)


def family_side(family: str) -> int | None:
    """The usual side in pixels of a family's images; None for an unknown family."""
    return SIDES.get(family)
