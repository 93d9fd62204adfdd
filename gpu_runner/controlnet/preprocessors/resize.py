"""Resizing of control maps that keeps lines binary and class colors unmixed."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from .arrays import Pixels, Plane, as_bytes

ResizeMode = Literal["stretch", "crop", "fill"]
# Images with fewer colors are segmentation maps, where interpolated colors would be other classes.
MAX_CLASS_COLORS = 200


def perfect_resolution(pixels: Pixels, width: int, height: int, mode: ResizeMode) -> int:
    """Return the preprocessor resolution ("pixel perfect") at which the map needs no resizing."""
    own_height, own_width = pixels.shape[:2]
    scales = height / own_height, width / own_width
    scale = min(scales) if mode == "fill" else max(scales)
    return max(1, round(scale * min(own_height, own_width)))


def fit(pixels: Pixels, width: int, height: int, mode: ResizeMode) -> Pixels:
    """Resize a map to (width, height). Modes as in A1111: "stretch", "crop" (crop and resize), "fill" (resize and fill)."""
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
    """Resize a mask (height, width) like ``fit``; padding is not masked."""
    pixels = np.repeat(mask[:, :, None], 3, axis=2)
    if mode != "fill":
        return fit(pixels, width, height, mode)[:, :, 0]
    own_height, own_width = mask.shape
    scale = min(height / own_height, width / own_width)
    scaled = _resized(pixels, max(1, round(own_width * scale)), max(1, round(own_height * scale)))
    return np.pad(scaled, _padding(scaled, width, height))[:height, :width, 0]


def _resized(pixels: Pixels, width: int, height: int) -> Pixels:
    if pixels.shape[:2] == (height, width):
        return pixels
    shrinks = width * height < pixels.shape[0] * pixels.shape[1]
    colors = _color_count(pixels)
    if 2 < colors < MAX_CLASS_COLORS:
        return as_bytes(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_NEAREST))
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    resized = as_bytes(cv2.resize(pixels, (width, height), interpolation=interpolation))
    return _two_colors(resized, pixels) if colors == 2 else resized


def _color_count(pixels: Pixels) -> int:
    numbers = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    return len(np.unique(numbers))


def _two_colors(resized: Pixels, original: Pixels) -> Pixels:
    """Binarize a resized map to its two colors by Otsu's threshold, so that thin lines are kept."""
    low, high = original.min(axis=(0, 1)).astype(float), original.max(axis=(0, 1)).astype(float)
    share = (resized - low) @ (high - low) / max(float((high - low) @ (high - low)), 1.0)
    gray = as_bytes(share * 255)
    level, _ = cv2.threshold(gray, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return np.where((gray > level)[:, :, None], high, low).astype(np.uint8)


def _cropped(pixels: Pixels, width: int, height: int) -> Pixels:
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])


def _padded(pixels: Pixels, width: int, height: int) -> Pixels:
    """Pad with the median color of the border."""
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    canvas = np.tile(np.median(border, axis=0).astype(np.uint8), (height, width, 1))
    (top, _), (left, _), _ = _padding(pixels, width, height)
    canvas[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return canvas


def _padding(pixels: NDArray[np.uint8], width: int, height: int) -> tuple[tuple[int, int], ...]:
    rows, columns = max(0, height - pixels.shape[0]), max(0, width - pixels.shape[1])
    top, left = rows // 2, columns // 2
    return (top, rows - top), (left, columns - left), (0, 0)
