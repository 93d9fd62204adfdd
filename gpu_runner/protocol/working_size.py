"""Output size for a request that gives an input image instead of a size. No torch, no Django."""

from __future__ import annotations

MULTIPLE = 8  # image pixels per latent pixel
SMALLEST, LARGEST = 64, 4096  # GenerationRequest.width and height are at most 4096


def working_size(width: int, height: int, long_side: int = 0) -> tuple[int, int]:
    """Return (width, height) with the image's aspect ratio, each rounded to a multiple of 8 and limited to 64..4096.

    ``long_side`` is the wanted length of the longer side in pixels; 0 keeps the size of the image. The aspect ratio
    is not kept where a side reaches a limit, as for an image of 10 x 5000 pixels.
    """
    scale = (long_side or max(width, height)) / max(width, height)
    return _side(width * scale), _side(height * scale)


def _side(length: float) -> int:
    return min(max(round(length / MULTIPLE) * MULTIPLE, SMALLEST), LARGEST)
