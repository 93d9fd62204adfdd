"""Face detection with five landmarks: YuNet (Wu, Peng and Yu, 2023), executed by OpenCV.

The network finds faces of about 10 to 300 pixels, so each image is processed at three sizes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Lock

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 640  # input size of models with dynamic size
FRAME_SHARES = (1.0, 0.5, 0.25)  # share of the input frame that the image is fitted into, per pass
MIN_SCORE = 0.8  # minimum score of a face
MIN_IOU = 0.3  # intersection over union above which two boxes are the same face
# NMS threshold that disables OpenCV's NMS: boxes of the same face are averaged here, over the three sizes.
NO_SUPPRESSION = 1.0
MAX_BOXES = 5000
MIN_EYE_DISTANCE = 5.0  # pixels; smaller faces have too little detail
MAX_FACES = 64  # per image

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Face:
    """A detected face in image pixels: box (left, top, right, bottom) and five landmarks, the left ones first."""

    score: float
    box: Points
    points: Points  # (5, 2): two eyes, the nose, two corners of the mouth


class FaceDetector:
    """A YuNet model loaded by OpenCV. Thread-safe."""

    def __init__(self, path: Path, width: int, height: int) -> None:
        """``width`` and ``height`` are the input size, or 0 if it is dynamic. Raises cv2.error for unsupported files."""
        self.size = width or SIDE, height or SIDE
        self._network = cv2.FaceDetectorYN.create(
            str(path), "", self.size, MIN_SCORE, NO_SUPPRESSION, MAX_BOXES
        )
        self._lock = Lock()  # OpenCV networks are not thread-safe

    def boxes(self, frame: Image.Image, min_score: float = MIN_SCORE) -> Points:
        """Return an array (n, 15): score, left, top, right, bottom and five points. ``frame`` is RGB of the input size."""
        with self._lock:
            self._network.setScoreThreshold(min_score)
            _count, found = self._network.detect(np.ascontiguousarray(np.asarray(frame)[:, :, ::-1]))
        if found is None:
            return np.empty((0, 15))
        corners, points, scores = np.split(found.astype(np.float64), [4, 14], axis=1)
        corners[:, 2:] += corners[:, :2]  # from (left, top, width, height)
        return np.hstack([scores, corners, points])


def find(detector: FaceDetector, image: Image.Image, min_score: float = MIN_SCORE) -> list[Face]:
    """Return the faces of an image with at least this score, by descending score, at most MAX_FACES."""
    opaque = image.convert("RGB")
    rows = np.concatenate([_candidates(detector, opaque, share, min_score) for share in FRAME_SHARES])
    faces = (_face(same) for same in _merged(rows[np.argsort(-rows[:, 0], kind="stable")]))
    large = (face for face in faces if np.hypot(*(face.points[1] - face.points[0])) >= MIN_EYE_DISTANCE)
    return list(islice(large, MAX_FACES))


def _candidates(detector: FaceDetector, image: Image.Image, share: float, min_score: float) -> Points:
    """Return rows as ``FaceDetector.boxes``, in image pixels, for one size of the image."""
    width, height = detector.size
    fitted = _fitted(image.size, int(width * share), int(height * share))
    frame = Image.new("RGB", detector.size)
    frame.paste(image.resize(fitted, Image.Resampling.BILINEAR))
    rows = detector.boxes(frame, min_score)
    rows = rows[np.isfinite(rows).all(axis=1)]
    scale = image.width / fitted[0], image.height / fitted[1]
    rows[:, 1:] *= np.tile(scale, 7)
    return rows


def _fitted(size: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    scale = min(width / size[0], height / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _merged(rows: Points) -> Iterator[Points]:
    """Yield the rows of each face. ``rows`` must be sorted by descending score."""
    while len(rows):
        same = _iou(rows[0, 1:5], rows[:, 1:5]) > MIN_IOU
        same[0] = True
        yield rows[same]
        rows = rows[~same]


def _face(rows: Points) -> Face:
    """Return the mean of the rows weighted by score, which is more exact than the best row."""
    mean = np.average(rows[:, 1:], axis=0, weights=rows[:, 0])
    return Face(float(rows[0, 0]), mean[:4], mean[4:].reshape(5, 2))


def _iou(box: Points, others: Points) -> Points:
    """Return the intersection over union of a box with each of the others."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = (high - low).clip(0).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1)
    return shared / (areas + (box[2:] - box[:2]).prod() - shared).clip(1e-9)
