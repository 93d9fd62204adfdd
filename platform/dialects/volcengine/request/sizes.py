"""Generation size of a style, in pixels."""

from __future__ import annotations

from gpu_runner.protocol.images import working_size
from models_registry.models import StylePreset

from .images import ImageFile
from .json_body import Body

SMALLEST = working_size.SMALLEST


def img2img_size(
    preset: StylePreset, body: Body, image: ImageFile, longest: int = working_size.LARGEST
) -> tuple[int, int]:
    """Width and height: the long side is ``long_resolution``, but at most ``longest``; the short one is in proportion.

    Both are rounded to multiples of 8.
    """
    long_side = preset.long_side
    if "long_resolution" in body:
        long_side = body.integer("long_resolution", long_side, SMALLEST, preset.max_long_side)
    return working_size.working_size(image.width, image.height, min(long_side, longest))


def txt2img_size(preset: StylePreset, body: Body) -> tuple[int, int]:
    """``width`` and ``height``, rounded to multiples of 8."""
    width = body.integer("width", preset.width, SMALLEST, preset.max_long_side)
    height = body.integer("height", preset.height, SMALLEST, preset.max_long_side)
    return working_size.working_size(width, height)
