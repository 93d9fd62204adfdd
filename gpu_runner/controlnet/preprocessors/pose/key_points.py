"""Key points of OpenPose from those of MediaPipe: 18 of a body, 70 of a face. The 21 of a hand are the same."""

from __future__ import annotations

import numpy as np

from gpu_runner.controlnet.preprocessors.arrays import Numbers

NECK, RIGHT_SHOULDER, LEFT_SHOULDER = 1, 12, 11
# Number of each OpenPose body point in MediaPipe's list of 33; the neck is between the shoulders.
BODY = (0, -1, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7)
MIN_VISIBILITY = 0.5
# Points of MediaPipe's face mesh in the order of OpenPose: jaw, brows, nose, eyes, lips outside and inside.
FACE = (
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),
    *(71, 63, 105, 66, 107), *(336, 296, 334, 293, 301),
    *(168, 197, 5, 4), *(75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144), *(362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),
    *(78, 82, 13, 312, 308, 317, 14, 87),
)  # fmt: skip
# Corners and lids of the eyes; the pupils are in their middle.
RIGHT_EYE, LEFT_EYE = (33, 160, 158, 133, 153, 144), (362, 385, 387, 263, 373, 380)


def body(points: Numbers, visibility: Numbers, size: tuple[int, int]) -> Numbers:
    """18 points (18, 2) in pixels; NaN where a point is not visible or outside of the image of (width, height).

    ``points``: 33 of MediaPipe (33, 2).
    """
    seen = np.where(visibility[:, None] >= MIN_VISIBILITY, points, np.nan)
    found = seen[list(BODY)]
    found[NECK] = (seen[RIGHT_SHOULDER] + seen[LEFT_SHOULDER]) / 2
    return inside(found, size)


def face(mesh: Numbers, size: tuple[int, int]) -> Numbers:
    """70 points (70, 2) of a face mesh (468, 2)."""
    return inside(np.concatenate([mesh[list(FACE)], pupils(mesh)]), size)


def pupils(mesh: Numbers) -> Numbers:
    """Right and left pupil (2, 2)."""
    return np.stack([mesh[list(eye)].mean(0) for eye in (RIGHT_EYE, LEFT_EYE)])


def inside(points: Numbers, size: tuple[int, int]) -> Numbers:
    """The points, NaN where they are outside of the image."""
    inner = np.logical_and(points >= 0, points <= np.array(size) - 1).all(1, keepdims=True)
    return np.where(inner, points, np.nan)
