"""Which function draws the map of each module that needs no network."""

from __future__ import annotations

from gpu_runner.preprocessors import blurs, lines, shuffling, tones
from gpu_runner.preprocessors.pixels import Pixels, Preprocessor, at_resolution
from gpu_runner.protocol.preprocessor_catalog import Module, Settings

DRAW: dict[str, Preprocessor] = {
    "none": tones.unchanged,
    "canny": lines.canny,
    "invert": tones.invert,
    "blur_gaussian": blurs.gaussian,
    "shuffle": shuffling.shuffle,
    "threshold": tones.threshold,
    "scribble_xdog": lines.scribble_xdog,
    "lineart_standard": lines.lineart_standard,
    "inpaint": tones.unchanged,
    "inpaint_only": tones.unchanged,
    "tile_resample": blurs.resample,
    "tile_colorfix": tones.unchanged,
    "tile_colorfix+sharp": tones.unchanged,
    "reference_only": tones.unchanged,
    "reference_adain": tones.unchanged,
    "reference_adain+attn": tones.unchanged,
    "recolor_luminance": tones.luminance,
    "recolor_intensity": tones.intensity,
    "color": blurs.colour_grid,
}


def detect(module: Module, pixels: Pixels, settings: Settings) -> Pixels:
    return DRAW[module.name](sized(module, pixels, settings), settings)


def sized(module: Module, pixels: Pixels, settings: Settings) -> Pixels:
    """Modules without the slider see the picture as it is."""
    return at_resolution(pixels, settings.resolution) if module.resolution else pixels
