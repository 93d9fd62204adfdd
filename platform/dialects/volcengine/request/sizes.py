"""At which size a style is drawn."""

from __future__ import annotations

from gpu_runner.protocol import working_size
from models_registry.models import StylePreset

from .images import InputPicture
from .json_body import Body

SMALLEST = working_size.SMALLEST


def worked_size(
    preset: StylePreset, body: Body, picture: InputPicture, longest: int = working_size.LARGEST
) -> tuple[int, int]:
    """The long side as asked for, the short one in proportion, both to the nearest multiple of 8."""
    asked = preset.long_side
    if "long_resolution" in body:
        asked = body.integer("long_resolution", asked, SMALLEST, preset.max_long_side)
    return working_size.working_size(picture.width, picture.height, min(asked, longest))


def drawn_size(preset: StylePreset, body: Body) -> tuple[int, int]:
    width = body.integer("width", preset.width, SMALLEST, preset.max_long_side)
    height = body.integer("height", preset.height, SMALLEST, preset.max_long_side)
    return working_size.working_size(width, height)
