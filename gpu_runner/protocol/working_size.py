"""Which size to draw at, when a client gives a picture instead of one. No torch, no Django."""

from __future__ import annotations

MULTIPLE = 8  # pixels a latent pixel
SMALLEST, LARGEST = 64, 4096  # sides that a request may have


def working_size(width: int, height: int, long_side: int = 0) -> tuple[int, int]:
    """In the picture's proportions, as near as multiples of 8 allow. ``long_side`` 0: the picture's own size.

    Where a request cannot have such a side, the other one bends: a strip of 10 x 5000 pixels has no size in proportion.
    """
    scale = (long_side or max(width, height)) / max(width, height)
    return _side(width * scale), _side(height * scale)


def _side(length: float) -> int:
    return min(max(round(length / MULTIPLE) * MULTIPLE, SMALLEST), LARGEST)
