"""Object detection and segmentation by YOLO v8 and later, exported to ONNX. Executed on the CPU.

The output has a row per anchor: center and size of the box in input pixels, a score per class and, for segmentation,
the weights of 32 prototype masks (the second output).
"""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np
from PIL import Image

from gpu_runner.networks.onnx_model import Array, OnnxModel
from gpu_runner.protocol.errors import InvalidRequest, ModelUnavailable

from .regions import Box, Region, Size

SIDE = 640  # input size of models with dynamic size
STRIDE = 32  # input sides are multiples of it
BACKGROUND = 114  # gray level around the image, as in the training of these models
MIN_IOU = 0.7  # intersection over union above which two boxes of a class are the same object
MAX_OBJECTS = 300
MAX_CANDIDATES = 3000  # best anchors that are compared


class ObjectDetector:
    """A loaded model with its minimum score and the classes to find."""

    def __init__(self, model: OnnxModel, confidence: float, classes: tuple[str, ...] = ()) -> None:
        """Raises InvalidRequest for a class that the model does not have."""
        self._model = model
        self._confidence = confidence
        names = list(model.detail["names"])
        if unknown := [name for name in classes if name not in names]:
            raise InvalidRequest(
                f"the detector has no class {unknown[0]!r} (it has {', '.join(names) or 'no names'})"
            )
        self._classes = [names.index(name) for name in classes]

    def detect(self, image: Image.Image) -> list[Region]:
        """Objects by descending score, at most MAX_OBJECTS. Raises ModelUnavailable for another output than expected."""
        width, height = self._model.detail["width"] or SIDE, self._model.detail["height"] or SIDE
        frame, scale, (left, top) = _framed(image, width, height)
        segments = self._model.detail["segments"]
        rows, *more = self._model.outputs(frame, 2 if segments else 1)
        count = self._model.detail["classes"]
        if rows.ndim != 3 or rows.shape[1] != 4 + count + (32 if segments else 0):
            raise ModelUnavailable(f"the detector returns an output of the shape {rows.shape}")
        found = _best(rows[0].T, count, self._confidence, self._classes)
        regions = []
        for row in found:
            x, y, across, down = row[:4]
            corners = np.array([x - across / 2, y - down / 2, x + across / 2, y + down / 2])
            shift = np.array([left, top, left, top])
            limit = np.array([*image.size, *image.size])
            box: Box = tuple(((corners - shift) / scale).clip(0, limit).tolist())
            score = float(row[4 : 4 + count].max())
            if segments:
                mask = _mask(row[4 + count :], more[0][0], (width, height), (left, top), scale, image.size)
                regions.append(Region(score, box, partial(_drawn, mask, box)))
            else:
                regions.append(Region.of_box(score, box))
        return regions


def _framed(image: Image.Image, width: int, height: int) -> tuple[Array, float, tuple[int, int]]:
    """Fit the image into the input, centered. Return the input, the scale, and the place of the image in it."""
    scale = min(width / image.width, height / image.height)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    place = (width - size[0]) // 2, (height - size[1]) // 2
    frame = Image.new("RGB", (width, height), (BACKGROUND,) * 3)
    frame.paste(image.convert("RGB").resize(size, Image.Resampling.BILINEAR), place)
    return np.asarray(frame, dtype=np.float32).transpose(2, 0, 1)[None] / np.float32(255), scale, place


def _best(rows: Array, count: int, confidence: float, classes: list[int]) -> Array:
    """Rows above the confidence, one per object (non-maximum suppression per class), by descending score."""
    scores = rows[:, 4 : 4 + count]
    if classes:
        scores = scores[:, classes]
    best, labels = scores.max(axis=1), scores.argmax(axis=1)
    kept = np.isfinite(rows).all(axis=1) & (best >= confidence) & (rows[:, 2:4] > 0).all(axis=1)
    order = np.flatnonzero(kept)
    order = order[np.argsort(-best[order], kind="stable")][:MAX_CANDIDATES]
    boxes = np.hstack([rows[order, :2] - rows[order, 2:4] / 2, rows[order, 2:4]])
    found = cv2.dnn.NMSBoxesBatched(
        boxes.tolist(), best[order].tolist(), labels[order].tolist(), 0.0, MIN_IOU, top_k=MAX_OBJECTS
    )
    return rows[order[np.asarray(found, dtype=int)]]


def _mask(
    weights: Array, prototypes: Array, frame: Size, place: tuple[int, int], scale: float, size: Size
) -> Image.Image:
    """Mask of one object in the whole image, before it is cut to its box."""
    logits = np.tensordot(weights, prototypes, axes=1)
    whole = cv2.resize(logits, frame, interpolation=cv2.INTER_LINEAR)
    left, top = place
    width, height = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    part = cv2.resize(whole[top : top + height, left : left + width], size, interpolation=cv2.INTER_LINEAR)
    return Image.fromarray((part > 0).astype(np.uint8) * 255)


def _drawn(mask: Image.Image, box: Box, size: Size) -> Image.Image:
    """The mask inside of its box."""
    cut = Image.new("L", size)
    left, top, right, bottom = int(box[0]), int(box[1]), round(box[2]) + 1, round(box[3]) + 1
    cut.paste(mask.crop((left, top, right, bottom)), (left, top))
    return cut
