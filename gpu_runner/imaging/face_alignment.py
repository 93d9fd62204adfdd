"""Face alignment: crops a face to an upright square by its five landmarks, and pastes it back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import ceil, floor

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 512  # of the square, in pixels
# Eyes, nose and corners of the mouth in FFHQ crops of 512 pixels, which restorers are trained on (from facexlib).
TEMPLATE = np.array(
    [
        (192.98138, 239.94708),
        (318.90277, 240.1936),
        (256.63416, 314.01935),
        (201.26117, 371.41043),
        (313.08905, 371.15118),
    ]
)
FILL_COLOR = (135, 133, 132)  # fills the square outside the image; the value of facexlib
# Ellipse of the square that is pasted back: the skin and little of the hair.
CENTER, RADII = (256.0, 280.0), (188.0, 232.0)
FADE = 0.25  # width of the soft edge, as a share of the radii

Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Alignment:
    """Alignment of one face. ``forward`` is the 2 x 3 affine matrix from image pixels to square pixels."""

    forward: Matrix

    @classmethod
    def of(cls, points: Matrix) -> Alignment:
        """Return the alignment of a face with five landmarks, shape (5, 2)."""
        return cls(similarity(points, TEMPLATE))

    @property
    def backward(self) -> Matrix:
        """2 x 3 affine matrix from square pixels to image pixels."""
        return np.linalg.inv(np.vstack([self.forward, (0, 0, 1)]))[:2]

    @property
    def scale(self) -> float:
        """Square pixels per image pixel."""
        return float(np.hypot(*self.forward[:, 0]))

    def cut(self, image: Image.Image) -> Image.Image:
        """Return the face as an RGB square of SIDE x SIDE pixels."""
        return _transformed(image.convert("RGB"), (SIDE, SIDE), self.backward, 1 / self.scale)

    def paste(self, square: Image.Image, image: Image.Image, visibility: float) -> None:
        """Paste a square over the face, in place, with opacity ``visibility``. Pixels outside the ellipse do not change."""
        left, top, right, bottom = self._box(image.size)
        if right <= left or bottom <= top:
            return
        size = right - left, bottom - top
        matrix = self.forward @ np.array([(1, 0, left), (0, 1, top), (0, 0, 1)])
        mask = _transformed(ellipse(), size, matrix, self.scale).point(
            lambda level: round(level * visibility)
        )
        image.paste(_transformed(square, size, matrix, self.scale), (left, top), mask)

    def _box(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Return the bounding box of the square in the image, limited to the image."""
        corners = np.array([(0, SIDE, SIDE, 0), (0, 0, SIDE, SIDE), (1, 1, 1, 1)])
        x, y = self.backward @ corners
        return (
            max(0, floor(x.min())),
            max(0, floor(y.min())),
            min(size[0], ceil(x.max())),
            min(size[1], ceil(y.max())),
        )


def similarity(points: Matrix, template: Matrix) -> Matrix:
    """Return the 2 x 3 matrix of the rotation, uniform scale and translation from points to template, as in facexlib."""
    matrix, _inliers = cv2.estimateAffinePartial2D(points, template, method=cv2.LMEDS)
    return np.asarray(matrix)


@cache
def ellipse() -> Image.Image:
    """Return the paste mask of a square (mode L): a white ellipse with a soft edge, black outside."""
    x, y = ((np.arange(SIDE) + 0.5 - center) / radius for center, radius in zip(CENTER, RADII, strict=True))
    distance = np.hypot(x[None], y[:, None])
    return Image.fromarray(np.round(((1 - distance) / FADE).clip(0, 1) * 255).astype(np.uint8))


def _transformed(
    source: Image.Image, size: tuple[int, int], matrix: Matrix, shrinks_by: float
) -> Image.Image:
    """Warp the source. ``matrix`` maps output pixels to source pixels. Shrinking averages first, against aliasing."""
    factor = max(1, int(shrinks_by))
    fill = FILL_COLOR if source.mode == "RGB" else 0
    return source.reduce(factor).transform(
        size,
        Image.Transform.AFFINE,
        tuple((matrix / factor).ravel()),
        Image.Resampling.BICUBIC if source.mode == "RGB" else Image.Resampling.BILINEAR,
        fillcolor=fill,
    )
