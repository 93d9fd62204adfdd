"""The picture's own tones, changed."""

from __future__ import annotations

import cv2
import numpy as np

from gpu_runner.protocol.preprocessor_catalog import Settings

from .arrays import Numbers, Pixels, three


def unchanged(pixels: Pixels, settings: Settings) -> Pixels:
    return pixels


def invert(pixels: Pixels, settings: Settings) -> Pixels:
    return 255 - pixels


def threshold(pixels: Pixels, settings: Settings) -> Pixels:
    return three((pixels.min(axis=2) > settings.a) * np.uint8(255))


def luminance(pixels: Pixels, settings: Settings) -> Pixels:
    return three(_gamma(cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)[:, :, 0], settings.a))


def intensity(pixels: Pixels, settings: Settings) -> Pixels:
    return three(_gamma(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)[:, :, 2], settings.a))


def _gamma(plane: Numbers, gamma: float) -> Numbers:
    return ((plane / 255.0) ** gamma * 255).round()
