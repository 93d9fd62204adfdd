"""The size that a checkpoint was trained at, which is the best one for its images."""

from __future__ import annotations

import re

from models_registry.models import Family, ModelFile

RESOLUTION = "modelspec.resolution"  # key of the safetensors metadata, such as "1024x1024"
WIDTH_AND_HEIGHT = re.compile(r"([0-9]{2,4})x([0-9]{2,4})")
SMALLEST, LARGEST, MULTIPLE = 64, 4096, 8
SIDES = {Family.SD15: 512, Family.SD2: 768, Family.SDXL: 1024}
OTHER_SIDE = 512


def native_size(checkpoint: ModelFile) -> tuple[int, int]:
    """Width and height in pixels, in multiples of 8: as the file says, else the usual size of its family."""
    stated = WIDTH_AND_HEIGHT.fullmatch(str(checkpoint.metadata.get(RESOLUTION, "")).strip())
    if stated is not None:
        width, height = int(stated[1]), int(stated[2])
        if all(SMALLEST <= side <= LARGEST and side % MULTIPLE == 0 for side in (width, height)):
            return width, height
    side = SIDES.get(Family(checkpoint.family), OTHER_SIDE)
    return side, side
