"""Preprocessors canny, scribble_xdog and lineart_standard. Maps are white lines on black."""

from __future__ import annotations

import cv2
import numpy as np

from gpu_runner.protocol.catalogs.preprocessors import ModuleSettings

from .arrays import Pixels, blurred, gray_to_rgb


def canny(pixels: Pixels, settings: ModuleSettings) -> Pixels:
    """Canny (1986), "A Computational Approach to Edge Detection", with hysteresis thresholds ``a`` (low) and ``b`` (high)."""
    return gray_to_rgb(cv2.Canny(pixels, int(settings.a), int(settings.b)))


def scribble_xdog(pixels: Pixels, settings: ModuleSettings) -> Pixels:
    """Difference of Gaussians (Winnemöller 2011, "XDoG"), thresholded at ``a``."""
    difference = (blurred(pixels, 5.0) - blurred(pixels, 0.5)).min(axis=2).clip(0, 255)
    return gray_to_rgb((2 * difference > settings.a) * np.uint8(255))


def lineart_standard(pixels: Pixels, settings: ModuleSettings) -> Pixels:
    """Darkness relative to the blurred surroundings, normalized by the median of the lines."""
    darkness = (blurred(pixels, 6.0) - pixels).min(axis=2).clip(0, 255)
    lines = darkness[darkness > 8]
    typical = max(16.0, float(np.median(lines)) if lines.size else 0.0)
    return gray_to_rgb(darkness / typical * 127)
