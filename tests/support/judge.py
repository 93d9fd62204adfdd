"""Classifies demo images by their pixels: background color, color of the shape, and shape by its outline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

COLORS = {
    "red": (225, 35, 40),
    "green": (35, 160, 60),
    "blue": (40, 70, 220),
    "yellow": (250, 220, 45),
    "purple": (140, 50, 170),
    "orange": (250, 135, 25),
    "white": (250, 250, 250),
    "black": (15, 15, 15),
}
TOLERANCE = 45  # RGB distance below which two colors count as equal
SHAPES = ("circle", "square", "triangle", "star")
STAR_WAIST = 0.45
ANGLES = 360
HARMONICS = slice(3, 9)  # 0 to 2 are size, position and aspect ratio, which do not tell shapes apart


@dataclass(frozen=True)
class Verdict:
    shape: str
    color: str
    background: str
    clean: float  # share of the pixels that have the color of the background or of the shape


def nearest_color(rgb: NDArray[np.float64]) -> str:
    return min(COLORS, key=lambda name: float(np.linalg.norm(rgb - np.array(COLORS[name]))))


def _descriptor(radii: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fourier descriptor of an outline, independent of its size and rotation."""
    spectrum = np.abs(np.fft.rfft(radii)) / len(radii)
    return 2 * spectrum[HARMONICS] / spectrum[0]


def _polygon_radii(corners: int, waist: float = 1.0) -> NDArray[np.float64]:
    """Distance from the center to the edge of a regular polygon, per angle; with ``waist`` < 1, of a star with that many tips."""
    turn = 2 * np.pi / corners
    angle = np.mod(np.arange(ANGLES) * 2 * np.pi / ANGLES, turn)
    if waist == 1:
        return np.cos(turn / 2) / np.cos(angle - turn / 2)
    angle = np.minimum(angle, turn - angle)  # from a tip to the next inner corner
    return waist * np.sin(turn / 2) / (np.sin(angle) + waist * np.sin(turn / 2 - angle))


IDEAL = {
    "circle": _descriptor(np.ones(ANGLES)),
    "square": _descriptor(_polygon_radii(4)),
    "triangle": _descriptor(_polygon_radii(3)),
    "star": _descriptor(_polygon_radii(5, STAR_WAIST)),
}


def outline_of(mask: NDArray[np.bool_]) -> str:
    """The shape with the nearest Fourier descriptor; the outline is the largest radius per angle around the centroid."""
    ys, xs = np.nonzero(mask)
    if len(xs) < 0.01 * mask.size or len(xs) > 0.8 * mask.size:
        return "nothing"
    dx, dy = xs - xs.mean(), ys - ys.mean()
    angle = (np.degrees(np.arctan2(dy, dx)) % 360).astype(int) % ANGLES
    radii = np.zeros(ANGLES)
    np.maximum.at(radii, angle, np.hypot(dx, dy))
    known = np.flatnonzero(radii)
    radii = np.interp(np.arange(ANGLES), known, radii[known], period=ANGLES)
    found = _descriptor(radii)
    return min(IDEAL, key=lambda name: float(np.linalg.norm(found - IDEAL[name])))


def judge(image: Image.Image) -> Verdict:
    """Classify an image of one shape on a uniform background; "nothing" if there is no shape."""
    pixels = np.asarray(image.convert("RGB"), dtype=np.float64)
    band = max(2, min(pixels.shape[:2]) // 32)
    border = np.concatenate(
        [
            pixels[:band].reshape(-1, 3),
            pixels[-band:].reshape(-1, 3),
            pixels[:, :band].reshape(-1, 3),
            pixels[:, -band:].reshape(-1, 3),
        ]
    )
    background = np.median(border, axis=0)
    distance = np.linalg.norm(pixels - background, axis=-1)
    other = distance > TOLERANCE
    if other.mean() < 0.01:
        return Verdict("nothing", "nothing", nearest_color(background), 1.0)
    strong = distance >= np.quantile(distance[other], 0.3)
    color = np.median(pixels[strong & other], axis=0)
    axis = color - background
    along = ((pixels - background) @ axis) / (axis @ axis)
    to_color = np.linalg.norm(pixels - color, axis=-1)
    clean = float(((distance < TOLERANCE) | (to_color < TOLERANCE)).mean())
    return Verdict(outline_of(along > 0.5), nearest_color(color), nearest_color(background), clean)
