"""Postprocessing of outputs by ControlNet modules: recolor, tile_colorfix and inpaint_only."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import cv2
import numpy as np
from PIL import Image

from gpu_runner.controlnet.preprocessors.arrays import Numbers, Pixels, as_bytes, blurred
from gpu_runner.protocol.catalogs.preprocessors import ModuleSettings

from .units import MASKED, PreparedUnit

SEAM = 4.0  # standard deviation in pixels of the transition between repainted and kept pixels
SHARPENING = 0.05  # per unit of the slider

Postprocess = Callable[[PreparedUnit, Pixels, ModuleSettings], Numbers]


def apply_postprocessing(units: Iterable[PreparedUnit], image: Image.Image) -> Image.Image:
    """Return the image after the postprocessing of every active unit that has one."""
    for unit in units:
        postprocess = POSTPROCESSORS.get(unit.module.name)
        if postprocess is not None and unit.acts and unit.model is not None:
            settings = unit.module.settings(None, unit.request.threshold_a, unit.request.threshold_b)
            processed = postprocess(unit, np.asarray(image.convert("RGB")), settings)
            image = Image.fromarray(as_bytes(np.round(processed)))
    return image


def _recolor_luminance(unit: PreparedUnit, output: Pixels, settings: ModuleSettings) -> Numbers:
    lab = cv2.cvtColor(output, cv2.COLOR_RGB2LAB)
    lab[:, :, 0] = unit.map[:, :, 0]
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def _recolor_intensity(unit: PreparedUnit, output: Pixels, settings: ModuleSettings) -> Numbers:
    hsv = cv2.cvtColor(output, cv2.COLOR_RGB2HSV)
    hsv[:, :, 2] = unit.map[:, :, 0]
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def _color_fix(unit: PreparedUnit, output: Pixels, settings: ModuleSettings) -> Numbers:
    """Combine the low frequencies of the control image with the details of the output. ``a`` is the radius in pixels."""
    return _box_blur(unit.map, settings.a) + output - _box_blur(output, settings.a)


def _color_fix_and_sharpen(unit: PreparedUnit, output: Pixels, settings: ModuleSettings) -> Numbers:
    fixed = _color_fix(unit, output, settings)
    return fixed + (fixed - blurred(fixed, 1.0)) * settings.b * SHARPENING * 10


def _box_blur(pixels: Numbers, radius: float) -> Numbers:
    side = 2 * int(radius) + 1
    return cv2.blur(pixels.astype(np.float32), (side, side), borderType=cv2.BORDER_REPLICATE)


def _keep_outside(unit: PreparedUnit, output: Pixels, settings: ModuleSettings) -> Numbers:
    """Restore the pixels of the control image outside the mask, with a soft transition."""
    assert unit.hidden is not None
    masked = (unit.hidden > MASKED).astype(np.float32)
    opacity = np.where(masked > 0, 1.0, blurred(cv2.dilate(masked, np.ones((3, 3))), SEAM) * 2 - 1).clip(0, 1)
    return unit.map + opacity[:, :, None] * (output.astype(np.float32) - unit.map)


POSTPROCESSORS: dict[str, Postprocess] = {
    "recolor_luminance": _recolor_luminance,
    "recolor_intensity": _recolor_intensity,
    "tile_colorfix": _color_fix,
    "tile_colorfix+sharp": _color_fix_and_sharpen,
    "inpaint_only": _keep_outside,
}
