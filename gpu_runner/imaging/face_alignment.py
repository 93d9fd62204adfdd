"""Cuts a face from an image as an upright square and pastes it back, by the similarity of its five points to a template."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import ceil, floor

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 512
# Eyes, nose and corners of the mouth in the squares of FFHQ, which restorers were trained on, as facexlib gives them.
TEMPLATE = np.array(
    [
        (192.98138, 239.94708),
        (318.90277, 240.1936),
        (256.63416, 314.01935),
        (201.26117, 371.41043),
        (313.08905, 371.15118),
    ]
)
BEYOND = (135, 133, 132)  # where the square reaches over the picture's edge; facexlib's grey
# Of the ellipse of a square that is pasted back: skin, and little hair.
CENTRE, RADII = (256.0, 280.0), (188.0, 232.0)
FADE = 0.25  # of the radii, over which it fades into the picture

Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Alignment:
    """``forward`` brings the picture's pixels to the square's, as two rows of an affine matrix."""

    forward: Matrix

    @classmethod
    def of(cls, points: Matrix) -> Alignment:
        return cls(similarity(points, TEMPLATE))

    @property
    def backward(self) -> Matrix:
        return np.linalg.inv(np.vstack([self.forward, (0, 0, 1)]))[:2]

    @property
    def scale(self) -> float:
        """Pixels of the square for one of the picture."""
        return float(np.hypot(*self.forward[:, 0]))

    def cut(self, picture: Image.Image) -> Image.Image:
        return _transformed(picture.convert("RGB"), (SIDE, SIDE), self.backward, 1 / self.scale)

    def paste(self, square: Image.Image, picture: Image.Image, visibility: float) -> None:
        """Over the face, in place. Beyond the ellipse not a byte of the picture changes."""
        left, top, right, bottom = self._box(picture.size)
        if right <= left or bottom <= top:
            return
        size = right - left, bottom - top
        matrix = self.forward @ np.array([(1, 0, left), (0, 1, top), (0, 0, 1)])
        mask = _transformed(ellipse(), size, matrix, self.scale).point(
            lambda level: round(level * visibility)
        )
        picture.paste(_transformed(square, size, matrix, self.scale), (left, top), mask)

    def _box(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """The square's surroundings that lie in the picture."""
        corners = np.array([(0, SIDE, SIDE, 0), (0, 0, SIDE, SIDE), (1, 1, 1, 1)])
        across, down = self.backward @ corners
        return (
            max(0, floor(across.min())),
            max(0, floor(down.min())),
            min(size[0], ceil(across.max())),
            min(size[1], ceil(down.max())),
        )


def similarity(points: Matrix, template: Matrix) -> Matrix:
    """Rotation, uniform scale and translation, never a reflection, as 2 x 3. Estimated as facexlib does it."""
    matrix, _inliers = cv2.estimateAffinePartial2D(points, template, method=cv2.LMEDS)
    return np.asarray(matrix)


@cache
def ellipse() -> Image.Image:
    """What of a square is seen: white in the middle, black from the rim on."""
    across, down = (
        (np.arange(SIDE) + 0.5 - centre) / radius for centre, radius in zip(CENTRE, RADII, strict=True)
    )
    distance = np.hypot(across[None], down[:, None])
    return Image.fromarray(np.round(((1 - distance) / FADE).clip(0, 1) * 255).astype(np.uint8))


def _transformed(
    source: Image.Image, size: tuple[int, int], matrix: Matrix, shrinks_by: float
) -> Image.Image:
    """``matrix`` tells for each pixel where in the source it comes from. What shrinks is averaged first."""
    factor = max(1, int(shrinks_by))
    fill = BEYOND if source.mode == "RGB" else 0
    return source.reduce(factor).transform(
        size,
        Image.Transform.AFFINE,
        tuple((matrix / factor).ravel()),
        Image.Resampling.BICUBIC if source.mode == "RGB" else Image.Resampling.BILINEAR,
        fillcolor=fill,
    )
