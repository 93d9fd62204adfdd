"""Lines and edges: white on black."""

from __future__ import annotations

import cv2
import numpy as np

from gpu_runner.protocol.preprocessor_catalog import Settings

from .arrays import Pixels, blurred, three


def canny(pixels: Pixels, settings: Settings) -> Pixels:
    """Canny, "A Computational Approach to Edge Detection" (1986): edges above b, and what of those above a touches them."""
    return three(cv2.Canny(pixels, int(settings.a), int(settings.b)))


def scribble_xdog(pixels: Pixels, settings: Settings) -> Pixels:
    """A difference of Gaussians (Winnemöller, "XDoG", 2011), cut at the threshold."""
    difference = (blurred(pixels, 5.0) - blurred(pixels, 0.5)).min(axis=2).clip(0, 255)
    return three((2 * difference > settings.a) * np.uint8(255))


def lineart_standard(pixels: Pixels, settings: Settings) -> Pixels:
    """How much darker than its surroundings a pixel is, in terms of the picture's usual line."""
    darkness = (blurred(pixels, 6.0) - pixels).min(axis=2).clip(0, 255)
    lines = darkness[darkness > 8]
    usual = max(16.0, float(np.median(lines)) if lines.size else 0.0)
    return three(darkness / usual * 127)
