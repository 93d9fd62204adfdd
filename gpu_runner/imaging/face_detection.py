"""Where in a picture faces are, and where their eyes, nose and mouth: YuNet's decoding (Wu, Peng, Yu, 2023).

It sees faces of about 10 to 300 pixels, so each picture is shown to it at more than one size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gpu_runner.networks.onnx_model import Array, OnnxModel

STRIDES = (8, 16, 32)
SIDE = 640  # for graphs that take any
SHARES = (1.0, 0.5, 0.25)  # of the graph's frame that the picture is fitted into
SUREST = 0.8  # from which score on it is a face
OVERLAP = 0.3  # of two boxes, over their union, from which on they mean the same face
EYES_APART = 5.0  # pixels; with fewer there is nothing to see of a face
MOST = 64  # faces of a picture

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Face:
    """In the picture's pixels: (left, top, right, bottom), and its five points, those on the picture's left first."""

    score: float
    box: Points
    points: Points  # (5, 2): two eyes, the nose, two corners of the mouth


def find(detector: OnnxModel, picture: Image.Image) -> list[Face]:
    """The surest first."""
    seen = [_candidates(detector, picture.convert("RGB"), share) for share in SHARES]
    rows = np.concatenate(seen)
    faces = (_face(same) for same in _merged(rows[np.argsort(-rows[:, 0], kind="stable")]))
    return [face for face in faces if np.hypot(*(face.points[1] - face.points[0])) >= EYES_APART][:MOST]


def _candidates(detector: OnnxModel, picture: Image.Image, share: float) -> Points:
    """A row each: score, box and points, in the picture's pixels."""
    width, height = detector.detail["width"] or SIDE, detector.detail["height"] or SIDE
    shown = _fitted(picture.size, int(width * share), int(height * share))
    frame = Image.new("RGB", (width, height))
    frame.paste(picture.resize(shown, Image.Resampling.BILINEAR))
    pixels = np.asarray(frame, np.float32)[:, :, ::-1].transpose(2, 0, 1)[None]
    answers = detector.answers(np.ascontiguousarray(pixels))
    rows = np.concatenate([_decoded(answers, stride, width // stride) for stride in STRIDES])
    rows = rows[np.isfinite(rows).all(axis=1) & (rows[:, 0] >= SUREST)]
    stretch = picture.width / shown[0], picture.height / shown[1]
    rows[:, 1:] *= np.tile(stretch, 7)
    return rows


def _fitted(size: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    scale = min(width / size[0], height / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _decoded(answers: dict[str, Array], stride: int, columns: int) -> Points:
    """Of every cell of one stride, row by row."""
    shares, objects, boxes, points = (
        answers[f"{part}_{stride}"][0].astype(np.float64) for part in ("cls", "obj", "bbox", "kps")
    )
    rows, columns_of = np.divmod(np.arange(len(shares)), columns)
    cells = np.stack([columns_of, rows], axis=1)
    with np.errstate(over="ignore"):  # what becomes infinite is sorted out with the rest
        middles, halves = (boxes[:, :2] + cells) * stride, np.exp(boxes[:, 2:]) * stride / 2
    scores = np.sqrt(shares.clip(0, 1) * objects.clip(0, 1))
    return np.hstack([scores, middles - halves, middles + halves, (points + np.tile(cells, 5)) * stride])


def _merged(rows: Points) -> Iterator[Points]:
    """Rows that mean the same face, together. Of those given the surest come first."""
    while len(rows):
        same = _overlaps(rows[0, 1:5], rows[:, 1:5]) > OVERLAP
        same[0] = True
        yield rows[same]
        rows = rows[~same]


def _face(rows: Points) -> Face:
    """Their mean by score: neighbouring cells guess a little to either side of the truth."""
    mean = np.average(rows[:, 1:], axis=0, weights=rows[:, 0])
    return Face(float(rows[0, 0]), mean[:4], mean[4:].reshape(5, 2))


def _overlaps(box: Points, others: Points) -> Points:
    """Intersection over union."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = (high - low).clip(0).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1)
    return shared / (areas + (box[2:] - box[:2]).prod() - shared).clip(1e-9)
