"""Sizes of images: of the output where a request gives an image instead, and of an image in a frame. No torch, no Django."""

from __future__ import annotations

MULTIPLE = 8  # image pixels per latent pixel
SMALLEST, LARGEST = 64, 4096  # GenerationRequest.width and height are at most 4096


Size = tuple[int, int]  # width, height


def placement(size: Size, width: int, height: int, *, covers: bool) -> tuple[Size, Size]:
    """Return the size of an image that is scaled into a frame of (width, height), and the position of its corner.

    With ``covers``, the image fills the frame and its excess is cut off: the position is not positive. Otherwise it lies
    inside the frame. Rounds as A1111's ``resize_image`` (resize modes 1 and 2).
    """
    own_width, own_height = size
    is_wider, is_narrower = width * own_height > own_width * height, width * own_height < own_width * height
    if is_wider if covers else is_narrower:
        scaled = width, max(1, own_height * width // own_width)
    else:
        scaled = max(1, own_width * height // own_height), height
    return scaled, (width // 2 - scaled[0] // 2, height // 2 - scaled[1] // 2)


def working_size(width: int, height: int, long_side: int = 0) -> tuple[int, int]:
    """Return (width, height) with the image's aspect ratio, each rounded to a multiple of 8 and limited to 64..4096.

    ``long_side`` is the wanted length of the longer side in pixels; 0 keeps the size of the image. The aspect ratio
    is not kept where a side reaches a limit, as for an image of 10 x 5000 pixels.
    """
    scale = (long_side or max(width, height)) / max(width, height)
    return _side(width * scale), _side(height * scale)


def _side(length: float) -> int:
    return min(max(round(length / MULTIPLE) * MULTIPLE, SMALLEST), LARGEST)
