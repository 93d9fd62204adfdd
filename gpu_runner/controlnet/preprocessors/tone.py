"""Preprocessors none, invert, threshold, recolor_luminance and recolor_intensity."""

from __future__ import annotations

import cv2
import numpy as np

from gpu_runner.protocol.catalogs.preprocessors import ModuleSettings

from .arrays import Numbers, Pixels, gray_to_rgb


def unchanged(pixels: Pixels, settings: ModuleSettings) -> Pixels:
    """Return the image itself."""
    return pixels


def invert(pixels: Pixels, settings: ModuleSettings) -> Pixels:
    """Invert all channels."""
    return 255 - pixels


def threshold(pixels: Pixels, settings: ModuleSettings) -> Pixels:
    """White where the smallest channel is above ``a``, else black."""
    return gray_to_rgb((pixels.min(axis=2) > settings.a) * np.uint8(255))


def luminance(pixels: Pixels, settings: ModuleSettings) -> Pixels:
    """CIELAB luminance with gamma ``a``."""
    return gray_to_rgb(_gamma(cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)[:, :, 0], settings.a))


def intensity(pixels: Pixels, settings: ModuleSettings) -> Pixels:
    """HSV value with gamma ``a``."""
    return gray_to_rgb(_gamma(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)[:, :, 2], settings.a))


def _gamma(plane: Numbers, gamma: float) -> Numbers:
    return ((plane / 255.0) ** gamma * 255).round()
