"""Preprocessor modules without a network: module name -> function."""

from __future__ import annotations

from gpu_runner.protocol.catalogs.preprocessors import Module, ModuleSettings

from . import blur, edges, shuffle, tone
from .arrays import Pixels, Preprocessor, at_resolution

PREPROCESSORS: dict[str, Preprocessor] = {
    "none": tone.unchanged,
    "canny": edges.canny,
    "invert": tone.invert,
    "blur_gaussian": blur.gaussian,
    "shuffle": shuffle.shuffle,
    "threshold": tone.threshold,
    "scribble_xdog": edges.scribble_xdog,
    "lineart_standard": edges.lineart_standard,
    "inpaint": tone.unchanged,
    "inpaint_only": tone.unchanged,
    "tile_resample": blur.resample,
    "tile_colorfix": tone.unchanged,
    "tile_colorfix+sharp": tone.unchanged,
    "reference_only": tone.unchanged,
    "reference_adain": tone.unchanged,
    "reference_adain+attn": tone.unchanged,
    "recolor_luminance": tone.luminance,
    "recolor_intensity": tone.intensity,
    "color": blur.color_grid,
}


def detect(module: Module, pixels: Pixels, settings: ModuleSettings) -> Pixels:
    """Return the control map of an image. Raises KeyError for modules that are not in PREPROCESSORS."""
    return PREPROCESSORS[module.name](sized(module, pixels, settings), settings)


def sized(module: Module, pixels: Pixels, settings: ModuleSettings) -> Pixels:
    """Resize to the module's resolution, if it has that slider."""
    return at_resolution(pixels, settings.resolution) if module.resolution else pixels
