"""Images as arrays: uint8 RGB of shape (height, width, 3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_runner.protocol.catalogs.preprocessors import ModuleSettings

Pixels = NDArray[np.uint8]
Plane = NDArray[np.uint8]  # (height, width)
Numbers = NDArray[Any]
Preprocessor = Callable[[Pixels, ModuleSettings], Pixels]


def at_resolution(pixels: Pixels, resolution: int) -> Pixels:
    """Resize so that the shorter side has ``resolution`` pixels: Lanczos for enlarging, area averaging for shrinking."""
    height, width = pixels.shape[:2]
    scale = resolution / min(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return as_bytes(
        cv2.resize(pixels, size, interpolation=cv2.INTER_LANCZOS4 if scale > 1 else cv2.INTER_AREA)
    )


def gray_to_rgb(plane: Numbers) -> Pixels:
    """Repeat a plane (height, width) in three channels; values are clipped to 0..255."""
    return np.repeat(as_bytes(plane)[:, :, None], 3, axis=2)


def as_bytes(values: Numbers) -> NDArray[np.uint8]:
    """Clip to 0..255 and convert to uint8."""
    return values.clip(0, 255).astype(np.uint8)


def blurred(pixels: Numbers, sigma: float) -> Numbers:
    """Gaussian blur in float32; ``sigma`` in pixels."""
    return cv2.GaussianBlur(pixels.astype(np.float32), (0, 0), sigma)
