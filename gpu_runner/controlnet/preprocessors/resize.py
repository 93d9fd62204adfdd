"""Maps at the size of the picture that they steer, without losing what makes them a map."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from .arrays import Pixels, Plane, as_bytes

ResizeMode = Literal["stretch", "crop", "fill"]
FEW_COLOURS = 200  # a map of classes: a colour between two of them would be a third class


def perfect_resolution(pixels: Pixels, width: int, height: int, mode: ResizeMode) -> int:
    """The processor's resolution at which a pixel of the map becomes a pixel of the picture."""
    own_height, own_width = pixels.shape[:2]
    scales = height / own_height, width / own_width
    scale = min(scales) if mode == "fill" else max(scales)
    return max(1, round(scale * min(own_height, own_width)))


def fit(pixels: Pixels, width: int, height: int, mode: ResizeMode) -> Pixels:
    if pixels.shape[:2] == (height, width):
        return pixels
    if mode == "stretch":
        return _resized(pixels, width, height)
    own_height, own_width = pixels.shape[:2]
    scales = height / own_height, width / own_width
    scale = max(scales) if mode == "crop" else min(scales)
    scaled = _resized(pixels, max(1, round(own_width * scale)), max(1, round(own_height * scale)))
    return _cropped(scaled, width, height) if mode == "crop" else _padded(scaled, width, height)


def fit_mask(mask: Plane, width: int, height: int, mode: ResizeMode) -> Plane:
    """What lies outside of a filled mask is not masked."""
    pixels = np.repeat(mask[:, :, None], 3, axis=2)
    if mode != "fill":
        return fit(pixels, width, height, mode)[:, :, 0]
    own_height, own_width = mask.shape
    scale = min(height / own_height, width / own_width)
    scaled = _resized(pixels, max(1, round(own_width * scale)), max(1, round(own_height * scale)))
    return np.pad(scaled, _bars(scaled, width, height))[:height, :width, 0]


def _resized(pixels: Pixels, width: int, height: int) -> Pixels:
    if pixels.shape[:2] == (height, width):
        return pixels
    shrinks = width * height < pixels.shape[0] * pixels.shape[1]
    colours = _colours(pixels)
    if 2 < colours < FEW_COLOURS:
        return as_bytes(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_NEAREST))
    way = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    resized = as_bytes(cv2.resize(pixels, (width, height), interpolation=way))
    return _two_colours(resized, pixels) if colours == 2 else resized


def _colours(pixels: Pixels) -> int:
    numbers = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    return len(np.unique(numbers))


def _two_colours(resized: Pixels, original: Pixels) -> Pixels:
    """Lines stay lines: neither grey, nor gone because they were thinner than a pixel."""
    low, high = original.min(axis=(0, 1)).astype(float), original.max(axis=(0, 1)).astype(float)
    share = (resized - low) @ (high - low) / max(float((high - low) @ (high - low)), 1.0)
    grey = as_bytes(share * 255)
    level, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return np.where((grey > level)[:, :, None], high, low).astype(np.uint8)


def _cropped(pixels: Pixels, width: int, height: int) -> Pixels:
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])


def _padded(pixels: Pixels, width: int, height: int) -> Pixels:
    """The bars have the border's usual colour."""
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    canvas = np.tile(np.median(border, axis=0).astype(np.uint8), (height, width, 1))
    (top, _), (left, _), _ = _bars(pixels, width, height)
    canvas[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return canvas


def _bars(pixels: NDArray[np.uint8], width: int, height: int) -> tuple[tuple[int, int], ...]:
    rows, columns = max(0, height - pixels.shape[0]), max(0, width - pixels.shape[1])
    top, left = rows // 2, columns // 2
    return (top, rows - top), (left, columns - left), (0, 0)
