"""Detection of letters by a DB network (Liao et al., 2020) of PP-OCR: a map of probabilities, and boxes around its regions.

Most parameters are RapidOCR's. The boxes are rotated rectangles; letters are found, logos without letters are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gpu_runner.networks.onnx_model import Array, OnnxModel

MIN_SIDE = 736  # smaller images are enlarged, so that small letters are found
MAX_SCALE = 2.0
MAX_SIDE = 2000
MULTIPLE = 32  # of the network's input sides
MIN_PROBABILITY = 0.3  # of a pixel of a region
MIN_SCORE = 0.5  # mean probability of a box
MIN_BOX_SIDE = 3.0  # pixels of the map
# Share of the image's shorter side that a line of letters may be high. The network takes larger round shapes for an O.
MAX_HEIGHT = 0.25
GROWTH = 1.6  # boxes grow by this times area / perimeter, because regions are smaller than the letters
MAX_BOXES = 1000

Corners = NDArray[np.float32]  # (4, 2): x, y in pixels


def mask_of_letters(detector: OnnxModel, image: Image.Image) -> Image.Image:
    """Return a mask (mode L, same size): white on boxes around letters."""
    mask = np.zeros((image.height, image.width), np.uint8)
    for corners in boxes(detector, image):
        cv2.fillConvexPoly(mask, np.rint(corners).astype(np.int32), (255,))
    return Image.fromarray(mask)


def boxes(detector: OnnxModel, image: Image.Image) -> list[Corners]:
    """Return the rotated boxes around lines of letters, at most MAX_BOXES."""
    probabilities = detector.run(_input(image))[0, 0]
    height, width = probabilities.shape
    scale = np.array([image.width / width, image.height / height], np.float32)
    return [corners * scale for corners in islice(_regions(probabilities), MAX_BOXES)]


def _input(image: Image.Image) -> Array:
    """Return the pixels as (1, 3, h, w), BGR from -1 to 1."""
    scale = min(max(1.0, MIN_SIDE / min(image.size)), MAX_SCALE, MAX_SIDE / max(image.size))
    size = [max(MULTIPLE, round(side * scale / MULTIPLE) * MULTIPLE) for side in image.size]
    pixels = np.asarray(
        image.convert("RGB").resize((size[0], size[1]), Image.Resampling.BILINEAR), np.float32
    )
    return np.ascontiguousarray((pixels[:, :, ::-1] / 127.5 - 1).transpose(2, 0, 1)[None])


def _regions(probabilities: Array) -> Iterator[Corners]:
    likely = cv2.dilate((probabilities > MIN_PROBABILITY).astype(np.uint8), np.ones((2, 2), np.uint8))
    contours, _hierarchy = cv2.findContours(likely, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    highest = MAX_HEIGHT * min(probabilities.shape)
    for contour in contours:
        center, (width, height), angle = cv2.minAreaRect(contour)
        if not MIN_BOX_SIDE <= min(width, height) <= highest:
            continue
        if _mean_inside(probabilities, cv2.boxPoints((center, (width, height), angle))) < MIN_SCORE:
            continue
        growth = GROWTH * width * height / (width + height)  # on both sides of each dimension
        yield cv2.boxPoints((center, (width + growth, height + growth), angle))


def _mean_inside(probabilities: Array, corners: Corners) -> float:
    """Mean probability inside of a box, which may extend beyond the map."""
    height, width = probabilities.shape
    low = np.floor(corners.min(axis=0)).astype(int).clip(0, [width - 1, height - 1])
    high = np.ceil(corners.max(axis=0)).astype(int).clip(0, [width - 1, height - 1])
    part = probabilities[low[1] : high[1] + 1, low[0] : high[0] + 1]
    inside = np.zeros(part.shape, np.uint8)
    cv2.fillConvexPoly(inside, np.rint(corners - low).astype(np.int32), (1,))
    return float(cv2.mean(part, inside)[0])
