"""Preprocessor mediapipe_face: contours of faces in the colors of ControlNetMediaPipeFace's training data."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import torch
from torch import nn

from gpu_runner.protocol.catalogs.preprocessors import ModuleSettings

from .arrays import Numbers, Pixels
from .pose import key_points
from .pose.holistic import Holistic, face_meshes

MIN_FACE = 64  # pixels; smaller faces are not drawn
WIDTH = 2
PUPIL = 2  # half the side of the square
OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152),
    *(148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109, 10),
)
# Lines through points of the face mesh, with their colors (RGB). Right and left are those of the person.
CONTOURS: tuple[tuple[tuple[int, ...], tuple[int, int, int]], ...] = (
    (OVAL, (10, 200, 10)),
    ((263, 249, 390, 373, 374, 380, 381, 382, 362), (10, 200, 180)),
    ((263, 466, 388, 387, 386, 385, 384, 398, 362), (10, 200, 180)),
    ((276, 283, 282, 295, 285), (10, 220, 180)),
    ((300, 293, 334, 296, 336), (10, 220, 180)),
    ((33, 7, 163, 144, 145, 153, 154, 155, 133), (180, 200, 10)),
    ((33, 246, 161, 160, 159, 158, 157, 173, 133), (180, 200, 10)),
    ((46, 53, 52, 65, 55), (180, 220, 10)),
    ((70, 63, 105, 66, 107), (180, 220, 10)),
    ((61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291), (10, 180, 10)),
    ((61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291), (10, 180, 10)),
    ((78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308), (10, 180, 10)),
    ((78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308), (10, 180, 10)),
)
PUPILS = ((250, 200, 10), (10, 200, 250))  # right, left


@torch.inference_mode()
def detect(network: nn.Module, pixels: Pixels, settings: ModuleSettings) -> Pixels:
    """Return the contours. ``settings.a``: maximum number of faces; ``b``: minimum score."""
    assert isinstance(network, Holistic)
    canvas = np.zeros_like(pixels)
    for mesh in face_meshes(network, pixels, limit=int(settings.a), min_score=settings.b):
        if (mesh.max(0) - mesh.min(0)).min() >= MIN_FACE:
            draw(canvas, mesh)
    return canvas


def draw(canvas: Pixels, mesh: Numbers) -> None:
    """Draw a face mesh (468, 2) in pixels onto an RGB image."""
    for numbers, color in CONTOURS:
        for start, end in pairwise(mesh[list(numbers)].round().astype(int).tolist()):
            cv2.line(canvas, start, end, color, WIDTH)
    for (x, y), color in zip(key_points.pupils(mesh).astype(int), PUPILS, strict=True):
        canvas[max(0, y - PUPIL) : max(0, y + PUPIL), max(0, x - PUPIL) : max(0, x + PUPIL)] = color
