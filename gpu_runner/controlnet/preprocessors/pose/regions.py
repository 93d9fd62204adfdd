"""Rotated squares of an image: cropping, and mapping of points back into the image."""

from __future__ import annotations

from dataclasses import dataclass
from math import atan2, cos, hypot, pi, sin

import cv2
import numpy as np

from gpu_runner.controlnet.preprocessors.arrays import Numbers, Pixels

MIN_SIDE = 1.0  # pixels


@dataclass(frozen=True)
class Region:
    """A square of an image, in pixels. ``angle``: how far it is turned clockwise, in radians."""

    x: float  # of the center
    y: float
    side: float
    angle: float = 0.0

    @classmethod
    def around(cls, pixels: Pixels) -> Region:
        """The smallest upright square that contains the image, centered."""
        height, width = pixels.shape[:2]
        return cls(width / 2, height / 2, float(max(width, height)))

    def scaled(self, factor: float, shift_y: float = 0.0) -> Region:
        """Scaled about its center, after a shift along its own vertical axis by a share of its side."""
        down = self.side * shift_y
        x, y = self.x - sin(self.angle) * down, self.y + cos(self.angle) * down
        return Region(x, y, max(MIN_SIDE, self.side * factor), self.angle)

    def crop(self, pixels: Pixels, size: int) -> Pixels:
        """The content as an image of ``size`` x ``size`` pixels; black outside of ``pixels``."""
        to_image = self._to_image(1 / size)
        to_image[:, 2] += to_image[:, :2] @ (0.5, 0.5) - 0.5  # from centers of pixels to centers of pixels
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(pixels, to_image, (size, size), flags=flags))

    def in_image(self, points: Numbers) -> Numbers:
        """Map points (n, 2), given as shares of the region from its top left corner, to pixels of the image."""
        to_image = self._to_image(1.0)
        return points @ to_image[:, :2].T + to_image[:, 2]

    def _to_image(self, unit: float) -> Numbers:
        """Affine map (2, 3) from the region to the image; ``unit`` is the length of a region's unit as share of its side."""
        across, down = cos(self.angle) * self.side, sin(self.angle) * self.side
        turn = np.array([[across, -down], [down, across]])
        return np.hstack([turn * unit, np.array([[self.x], [self.y]]) - turn @ [[0.5], [0.5]]])


def angle_of(start: Numbers, end: Numbers, target: float) -> float:
    """Angle by which a region has to be turned, so that the vector has the direction ``target`` in it.

    ``target`` is in radians, counterclockwise from the horizontal axis: pi / 2 is upwards.
    """
    x, y = end - start
    turn = target - atan2(-y, x)
    return float((turn + pi) % (2 * pi) - pi)


def distance(start: Numbers, end: Numbers) -> float:
    return hypot(*(end - start))


def bounding(points: Numbers, angle: float) -> Region:
    """The smallest square with this angle around points (n, 2); its center is that of their bounding rectangle."""
    turn = np.array([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]])
    turned = points @ turn  # into the axes of the region
    low, high = turned.min(0), turned.max(0)
    x, y = turn @ ((low + high) / 2)
    return Region(float(x), float(y), max(MIN_SIDE, float((high - low).max())), angle)
