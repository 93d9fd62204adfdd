"""Boxes and key points of MediaPipe's single-shot detectors. They predict offsets from a fixed grid of anchors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from gpu_runner.controlnet.preprocessors.arrays import Numbers

MIN_IOU = 0.3  # intersection over union above which two boxes are of the same object
ANCHORS_PER_LAYER = 2
MAX_LOGIT = 80.0  # its exponential fits float32


@dataclass(frozen=True)
class Detection:
    """A box (left, top, right, bottom) and key points (n, 2) as shares of the input image."""

    score: float
    box: Numbers
    points: Numbers


def grid(side: int, strides: Sequence[int]) -> Numbers:
    """Centers of the anchors as shares of the image (n, 2). Layers of equal stride share the cells of one grid."""
    centers = []
    for stride, layers in groupby(strides):
        cells = -(-side // stride)
        rows, columns = np.mgrid[:cells, :cells]
        cell = np.stack([columns, rows], -1).reshape(-1, 2)
        centers.append(np.repeat((cell + 0.5) / cells, ANCHORS_PER_LAYER * len(list(layers)), axis=0))
    return np.concatenate(centers)


def detections(
    logits: Numbers, offsets: Numbers, anchors: Numbers, side: int, min_score: float
) -> list[Detection]:
    """Detections by descending score, one per object.

    ``logits``: (n,); ``offsets``: (n, 4 + 2 * points) in pixels of an input image with this side.
    """
    scores = 1 / (1 + np.exp(-logits.clip(-MAX_LOGIT, MAX_LOGIT)))
    found = np.flatnonzero((scores >= min_score) & np.isfinite(offsets).all(1))
    found = found[np.argsort(-scores[found], kind="stable")]
    numbers = offsets[found] / side
    centers, sizes = numbers[:, :2] + anchors[found], numbers[:, 2:4]
    boxes = np.hstack([centers - sizes / 2, centers + sizes / 2])
    count = (offsets.shape[1] - 4) // 2
    points = numbers[:, 4:].reshape(len(found), count, 2) + anchors[found, None]
    return list(_merged(scores[found], boxes, points))


def _merged(scores: Numbers, boxes: Numbers, points: Numbers) -> Iterator[Detection]:
    """Replace overlapping boxes by their mean, weighted by score."""
    while len(scores):
        same = iou(boxes[0], boxes) > MIN_IOU
        same[0] = True
        box, mean = (np.average(values[same], axis=0, weights=scores[same]) for values in (boxes, points))
        yield Detection(float(scores[0]), box, mean)
        scores, boxes, points = scores[~same], boxes[~same], points[~same]


def iou(box: Numbers, others: Numbers) -> Numbers:
    """Intersection over union of a box with each of the others."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = (high - low).clip(0).prod(1)
    areas = (others[:, 2:] - others[:, :2]).clip(0).prod(1) + (box[2:] - box[:2]).clip(0).prod()
    return shared / (areas - shared).clip(1e-9)
