"""Preprocessor shuffle: pixels are remapped by two smooth random fields. The seed is fixed, so that retries are equal."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_runner.protocol.catalogs.preprocessors import ModuleSettings

from .arrays import Pixels, as_bytes

WAVE = 256  # pixels between independent values of the field
SEED = 12345


def shuffle(pixels: Pixels, settings: ModuleSettings) -> Pixels:
    """Return the shuffled image, same shape."""
    height, width = pixels.shape[:2]
    random = np.random.default_rng(SEED)
    x = _field(random, height, width) * (width - 1)
    y = _field(random, height, width) * (height - 1)
    return as_bytes(cv2.remap(pixels, x, y, cv2.INTER_LINEAR))


def _field(random: np.random.Generator, height: int, width: int) -> NDArray[np.float32]:
    """Return a smooth random field (height, width) from 0 to 1."""
    coarse = random.uniform(0, 1, (height // WAVE + 3, width // WAVE + 3)).astype(np.float32)
    rows, columns = coarse.shape
    fine = cv2.resize(coarse, ((columns - 1) * WAVE, (rows - 1) * WAVE), interpolation=cv2.INTER_CUBIC)
    fine = fine[WAVE // 2 : WAVE // 2 + height, WAVE // 2 : WAVE // 2 + width]
    low, high = float(fine.min()), float(fine.max())
    return (fine - low) / max(high - low, 1e-6)
