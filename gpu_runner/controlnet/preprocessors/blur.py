"""Less detail than the picture has: blurred, made small, or only its colours."""

from __future__ import annotations

import cv2

from gpu_runner.protocol.preprocessor_catalog import Settings

from .arrays import Pixels, as_bytes, blurred

GRID_CELL = 64


def gaussian(pixels: Pixels, settings: Settings) -> Pixels:
    return as_bytes(blurred(pixels, settings.a).round())


def resample(pixels: Pixels, settings: Settings) -> Pixels:
    """``a`` is how many times smaller it becomes; the ControlNet sees it enlarged again."""
    height, width = pixels.shape[:2]
    if settings.a < 1.1:
        return pixels
    size = max(1, int(width / settings.a)), max(1, int(height / settings.a))
    return as_bytes(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def colour_grid(pixels: Pixels, settings: Settings) -> Pixels:
    """One colour for every cell of 64 pixels, as the T2I-Adapter for colours was trained."""
    height, width = pixels.shape[:2]
    cells = max(1, width // GRID_CELL), max(1, height // GRID_CELL)
    small = cv2.resize(pixels, cells, interpolation=cv2.INTER_CUBIC)
    return as_bytes(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST))
