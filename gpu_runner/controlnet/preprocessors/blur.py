"""Preprocessors blur_gaussian, tile_resample and t2ia_color_grid."""

from __future__ import annotations

import cv2

from gpu_runner.protocol.catalogs.preprocessors import ModuleSettings

from .arrays import Pixels, as_bytes, blurred

GRID_CELL = 64  # pixels


def gaussian(pixels: Pixels, settings: ModuleSettings) -> Pixels:
    """Gaussian blur; ``a`` is sigma in pixels."""
    return as_bytes(blurred(pixels, settings.a).round())


def resample(pixels: Pixels, settings: ModuleSettings) -> Pixels:
    """Downsample by the factor ``a``. The map is enlarged again before it is given to the ControlNet."""
    height, width = pixels.shape[:2]
    if settings.a < 1.1:
        return pixels
    size = max(1, int(width / settings.a)), max(1, int(height / settings.a))
    return as_bytes(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def color_grid(pixels: Pixels, settings: ModuleSettings) -> Pixels:
    """One color per cell of 64 x 64 pixels, as in the training of the color T2I-Adapter."""
    height, width = pixels.shape[:2]
    cells = max(1, width // GRID_CELL), max(1, height // GRID_CELL)
    small = cv2.resize(pixels, cells, interpolation=cv2.INTER_CUBIC)
    return as_bytes(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST))
