"""Refinement of a matte: post-processing, soft edges by alpha matting, and the colors of the foreground behind them.

The options are those of rembg. Its alpha matting solves a sparse system whose time grows with the image (Levin et al.
2008, "A Closed-Form Solution to Natural Image Matting"); the guided filter approximates it in linear time (He et al. 2013,
"Guided Image Filtering", section 4.5; He and Sun 2015, "Fast Guided Filter").
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gpu_runner.protocol.request_parts.backgrounds import AlphaMatting

Pixels = NDArray[np.floating[Any]]

MAX_PIXELS = 1024 * 1024  # of the reduced image, in which coefficients and colors are estimated
MIN_RADIUS = 4  # of the guided filter, in pixels
SMOOTHNESS = 1e-4  # of the guided filter: variance of colors below which it averages
COLOR_RADII = (90, 6)  # of the blurs that spread colors, in pixels; Forte 2021
ROWS = 256  # that are computed at the same time in full resolution
TINY = np.float32(1e-5)


def post_processed(mask: Image.Image) -> Image.Image:
    """Remove specks, smooth the edge, and round to 0 or 255, as rembg does with ``post_process_mask``."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    opened = cv2.morphologyEx(np.asarray(mask), cv2.MORPH_OPEN, kernel)
    smooth = cv2.GaussianBlur(opened, (5, 5), sigmaX=2, sigmaY=2)
    return Image.fromarray(np.where(smooth < 127, 0, 255).astype(np.uint8))


def trimap(mask: Image.Image, options: AlphaMatting) -> NDArray[np.uint8]:
    """Certain foreground (255), certain background (0) and the band between them (128)."""
    levels = np.asarray(mask)
    square = np.ones((max(1, options.erode_size),) * 2, np.uint8)
    foreground = cv2.erode((levels > options.foreground_threshold).astype(np.uint8), square)
    # Beyond the image is background, or what the nearest pixel is: OpenCV's default border never erodes.
    background = cv2.erode((levels < options.background_threshold).astype(np.uint8), square)
    result = np.full(levels.shape, 128, np.uint8)
    result[foreground == 1] = 255
    result[background == 1] = 0
    return result


def refined(image: Image.Image, mask: Image.Image, options: AlphaMatting) -> Image.Image:
    """Return the mask with a soft edge that follows the image's colors. Certain pixels are 0 or 255."""
    known = trimap(mask, options)
    levels = np.where(known == 128, np.asarray(mask), known)
    small, scale = _reduced(image)
    radius = max(MIN_RADIUS, round(max(options.erode_size, MIN_RADIUS) * scale))
    weights = _guided_filter(small, _resized(levels, small.shape[:2]) / 255, radius)
    result = np.empty_like(known)
    full = image.convert("RGB")
    coefficients = cv2.resize(weights, full.size, interpolation=cv2.INTER_LINEAR)
    for top in range(0, full.height, ROWS):
        rows = slice(top, top + ROWS)
        colors = np.asarray(full.crop((0, top, full.width, min(top + ROWS, full.height))), np.float32) / 255
        alpha = (coefficients[rows, :, :3] * colors).sum(2) + coefficients[rows, :, 3]
        result[rows] = np.rint(alpha.clip(0, 1) * 255).astype(np.uint8)
    return Image.fromarray(np.where(known == 128, result, known))


def foreground_colors(image: Image.Image, mask: Image.Image) -> Image.Image:
    """Return the colors of the foreground alone (RGB): those of the image without what shines through at soft edges.

    Forte 2021, "Approximate Fast Foreground Colour Estimation".
    """
    small, scale = _reduced(image)
    alpha = _resized(np.asarray(mask), small.shape[:2])[..., None] / 255
    front, back = small, small
    for radius in COLOR_RADII:
        front, back = _spread(small, front, back, alpha, max(1, round(radius * scale)))
    full = image.convert("RGB")
    result = np.empty((full.height, full.width, 3), np.uint8)
    fronts, backs = (cv2.resize(part, full.size, interpolation=cv2.INTER_LINEAR) for part in (front, back))
    for top in range(0, full.height, ROWS):
        rows = slice(top, top + ROWS)
        box = (0, top, full.width, min(top + ROWS, full.height))
        colors = np.asarray(full.crop(box), np.float32) / 255
        share = np.asarray(mask.crop(box), np.float32)[..., None] / 255
        colors = fronts[rows] + share * (colors - share * fronts[rows] - (1 - share) * backs[rows])
        result[rows] = np.rint(colors.clip(0, 1) * 255).astype(np.uint8)
    return Image.fromarray(result)


def _spread(image: Pixels, front: Pixels, back: Pixels, alpha: Pixels, radius: int) -> tuple[Pixels, Pixels]:
    """Blur the colors of both layers, each weighted by its share, and correct the front by what is left."""
    share = _box(alpha, radius)[..., None]
    front_blur = _box(front * alpha, radius) / (share + TINY)
    back_blur = _box(back * (1 - alpha), radius) / (1 - share + TINY)
    corrected = front_blur + alpha * (image - alpha * front_blur - (1 - alpha) * back_blur)
    return corrected.clip(0, 1), back_blur


def _guided_filter(guide: Pixels, values: Pixels, radius: int) -> Pixels:
    """Coefficients (h, w, 4) of the local linear model ``values = coefficients[:3] . guide + coefficients[3]``."""
    mean = _box(guide, radius)
    mean_value = _box(values, radius)
    products = guide[..., :, None] * guide[..., None, :]
    covariance = _box(products.reshape(*guide.shape[:2], 9), radius).reshape(products.shape)
    covariance -= mean[..., :, None] * mean[..., None, :]
    covariance += np.eye(3, dtype=np.float32) * SMOOTHNESS
    shared = _box(guide * values[..., None], radius) - mean * mean_value[..., None]
    slopes = np.linalg.solve(covariance, shared[..., None])[..., 0]
    offsets = mean_value - (slopes * mean).sum(-1)
    return _box(np.concatenate([slopes, offsets[..., None]], -1).astype(np.float32), radius)


def _box(values: Any, radius: int) -> Pixels:
    size = (2 * radius + 1,) * 2
    if values.ndim == 3 and values.shape[2] > 4:  # OpenCV's limit for some filters
        return np.stack([cv2.blur(values[..., i], size) for i in range(values.shape[2])], -1)
    return cv2.blur(values, size)


def _reduced(image: Image.Image) -> tuple[Pixels, float]:
    """The image in [0, 1] with at most MAX_PIXELS pixels, and its scale."""
    scale = min(1.0, (MAX_PIXELS / (image.width * image.height)) ** 0.5)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return np.asarray(image.convert("RGB").resize(size, Image.Resampling.BOX), np.float32) / 255, scale


def _resized(levels: NDArray[np.uint8], shape: tuple[int, ...]) -> Pixels:
    return cv2.resize(levels, (shape[1], shape[0]), interpolation=cv2.INTER_AREA).astype(np.float32)
