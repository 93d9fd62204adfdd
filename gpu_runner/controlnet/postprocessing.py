"""What some modules do to the finished picture: they bring back what must not have changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import cv2
import numpy as np
from PIL import Image

from gpu_runner.controlnet.preprocessors.arrays import Numbers, Pixels, as_bytes, blurred
from gpu_runner.protocol.preprocessor_catalog import Settings

from .units import MASKED, Unit

SEAM = 4.0  # pixels over which the drawn and the kept part of an inpainting meet
SHARPENING = 0.05  # of a unit of the slider

Finish = Callable[[Unit, Pixels, Settings], Numbers]


def finished(units: Iterable[Unit], picture: Image.Image) -> Image.Image:
    for unit in units:
        finish = FINISHES.get(unit.module.name)
        if finish is not None and unit.acts and unit.model is not None:
            settings = unit.module.settings(None, unit.asked.threshold_a, unit.asked.threshold_b)
            changed = finish(unit, np.asarray(picture.convert("RGB")), settings)
            picture = Image.fromarray(as_bytes(np.round(changed)))
    return picture


def _recolour_luminance(unit: Unit, drawn: Pixels, settings: Settings) -> Numbers:
    lab = cv2.cvtColor(drawn, cv2.COLOR_RGB2LAB)
    lab[:, :, 0] = unit.map[:, :, 0]
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def _recolour_intensity(unit: Unit, drawn: Pixels, settings: Settings) -> Numbers:
    hsv = cv2.cvtColor(drawn, cv2.COLOR_RGB2HSV)
    hsv[:, :, 2] = unit.map[:, :, 0]
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def _colour_fix(unit: Unit, drawn: Pixels, settings: Settings) -> Numbers:
    """The hint's large areas of colour under the drawing's details; those smaller than ``a`` pixels are details."""
    return _averaged(unit.map, settings.a) + drawn - _averaged(drawn, settings.a)


def _colour_fix_and_sharpen(unit: Unit, drawn: Pixels, settings: Settings) -> Numbers:
    fixed = _colour_fix(unit, drawn, settings)
    return fixed + (fixed - blurred(fixed, 1.0)) * settings.b * SHARPENING * 10


def _averaged(pixels: Numbers, radius: float) -> Numbers:
    side = 2 * int(radius) + 1
    return cv2.blur(pixels.astype(np.float32), (side, side), borderType=cv2.BORDER_REPLICATE)


def _keep_outside(unit: Unit, drawn: Pixels, settings: Settings) -> Numbers:
    """Beyond a seam the picture around the mask is the given one, to the byte."""
    assert unit.hidden is not None
    masked = (unit.hidden > MASKED).astype(np.float32)
    share = np.where(masked > 0, 1.0, blurred(cv2.dilate(masked, np.ones((3, 3))), SEAM) * 2 - 1).clip(0, 1)
    return unit.map + share[:, :, None] * (drawn.astype(np.float32) - unit.map)


FINISHES: dict[str, Finish] = {
    "recolor_luminance": _recolour_luminance,
    "recolor_intensity": _recolour_intensity,
    "tile_colorfix": _colour_fix,
    "tile_colorfix+sharp": _colour_fix_and_sharpen,
    "inpaint_only": _keep_outside,
}
