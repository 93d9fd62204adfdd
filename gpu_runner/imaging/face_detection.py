"""Finds faces in an image, with their eyes, nose and corners of the mouth: YuNet (Wu, Peng, Yu, 2023), run by OpenCV.

The network finds faces of about 10 to 300 pixels, so each image is given to it at three sizes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 640  # for graphs that take any
SHARES = (1.0, 0.5, 0.25)  # of the graph's frame that the image is fitted into
SUREST = 0.8  # the least score of a face
OVERLAP = 0.3  # of two boxes, over their union, from which on they mean the same face
ALL_OVERLAPS = 1.0  # OpenCV suppresses none: the boxes of one face are averaged here, over the three sizes
MOST_BOXES = 5000
EYES_APART = 5.0  # pixels; a smaller face has too little detail
MOST = 64  # faces of an image

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Face:
    """In pixels of the image: (left, top, right, bottom), and five points, those on the image's left first."""

    score: float
    box: Points
    points: Points  # (5, 2): two eyes, the nose, two corners of the mouth


class FaceDetector:
    def __init__(self, path: Path, width: int, height: int) -> None:
        """The graph's input size, 0 where it takes any. Raises cv2.error for a file that OpenCV cannot run."""
        self.size = width or SIDE, height or SIDE
        self._network = cv2.FaceDetectorYN.create(str(path), "", self.size, SUREST, ALL_OVERLAPS, MOST_BOXES)
        self._lock = Lock()  # OpenCV's networks serve one thread at a time

    def boxes(self, frame: Image.Image) -> Points:
        """A row for each: score, left, top, right, bottom, and the five points. ``frame`` is RGB, of the input size."""
        with self._lock:
            _count, found = self._network.detect(np.ascontiguousarray(np.asarray(frame)[:, :, ::-1]))
        if found is None:
            return np.empty((0, 15))
        corners, points, scores = np.split(found.astype(np.float64), [4, 14], axis=1)
        corners[:, 2:] += corners[:, :2]  # from (left, top, width, height)
        return np.hstack([scores, corners, points])


def find(detector: FaceDetector, picture: Image.Image) -> list[Face]:
    """By descending score."""
    rows = np.concatenate([_candidates(detector, picture.convert("RGB"), share) for share in SHARES])
    faces = (_face(same) for same in _merged(rows[np.argsort(-rows[:, 0], kind="stable")]))
    return [face for face in faces if np.hypot(*(face.points[1] - face.points[0])) >= EYES_APART][:MOST]


def _candidates(detector: FaceDetector, picture: Image.Image, share: float) -> Points:
    """A row each: score, box and points, in pixels of the image."""
    width, height = detector.size
    shown = _fitted(picture.size, int(width * share), int(height * share))
    frame = Image.new("RGB", detector.size)
    frame.paste(picture.resize(shown, Image.Resampling.BILINEAR))
    rows = detector.boxes(frame)
    rows = rows[np.isfinite(rows).all(axis=1)]
    stretch = picture.width / shown[0], picture.height / shown[1]
    rows[:, 1:] *= np.tile(stretch, 7)
    return rows


def _fitted(size: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    scale = min(width / size[0], height / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _merged(rows: Points) -> Iterator[Points]:
    """Groups the rows of each face. ``rows`` is sorted by descending score."""
    while len(rows):
        same = _overlaps(rows[0, 1:5], rows[:, 1:5]) > OVERLAP
        same[0] = True
        yield rows[same]
        rows = rows[~same]


def _face(rows: Points) -> Face:
    """The mean, weighted by score, which is more exact than the best row alone."""
    mean = np.average(rows[:, 1:], axis=0, weights=rows[:, 0])
    return Face(float(rows[0, 0]), mean[:4], mean[4:].reshape(5, 2))


def _overlaps(box: Points, others: Points) -> Points:
    """Intersection over union."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = (high - low).clip(0).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1)
    return shared / (areas + (box[2:] - box[:2]).prod() - shared).clip(1e-9)
