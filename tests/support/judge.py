"""What does a picture show? Judged by its pixels alone: border colour, the other colour, and the outline's geometry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

COLOURS = {
    "red": (225, 35, 40),
    "green": (35, 160, 60),
    "blue": (40, 70, 220),
    "yellow": (250, 220, 45),
    "purple": (140, 50, 170),
    "orange": (250, 135, 25),
    "white": (250, 250, 250),
    "black": (15, 15, 15),
}
NOTHING = 45  # RGB distance below which a pixel counts as background
SHAPES = ("circle", "square", "triangle", "star")
STAR_WAIST = 0.45
DIRECTIONS = 360
HARMONICS = slice(3, 9)  # 0 is the size, 1 the place, 2 an even squeeze: none of them makes another shape


@dataclass(frozen=True)
class Verdict:
    shape: str
    colour: str
    background: str
    clean: float  # share of the pixels that are plainly background or plainly shape


def nearest_colour(rgb: NDArray[np.float64]) -> str:
    return min(COLOURS, key=lambda name: float(np.linalg.norm(rgb - np.array(COLOURS[name]))))


def _descriptor(radii: NDArray[np.float64]) -> NDArray[np.float64]:
    """Strengths of an outline's harmonics, whatever its size and turn: its Fourier descriptor."""
    spectrum = np.abs(np.fft.rfft(radii)) / len(radii)
    return 2 * spectrum[HARMONICS] / spectrum[0]


def _polygon_radii(corners: int, waist: float = 1.0) -> NDArray[np.float64]:
    """Distance from the centre to the edge of a regular polygon; with a waist, of a star of twice as many corners."""
    turn = 2 * np.pi / corners
    angle = np.mod(np.arange(DIRECTIONS) * 2 * np.pi / DIRECTIONS, turn)
    if waist == 1:
        return np.cos(turn / 2) / np.cos(angle - turn / 2)
    angle = np.minimum(angle, turn - angle)  # from a tip to the waist beside it
    return waist * np.sin(turn / 2) / (np.sin(angle) + waist * np.sin(turn / 2 - angle))


IDEAL = {
    "circle": _descriptor(np.ones(DIRECTIONS)),
    "square": _descriptor(_polygon_radii(4)),
    "triangle": _descriptor(_polygon_radii(3)),
    "star": _descriptor(_polygon_radii(5, STAR_WAIST)),
}


def outline_of(mask: NDArray[np.bool_]) -> str:
    """The shape whose ideal outline is nearest. Outer radius in every direction from the centre of the area."""
    ys, xs = np.nonzero(mask)
    if len(xs) < 0.01 * mask.size or len(xs) > 0.8 * mask.size:
        return "nothing"
    dx, dy = xs - xs.mean(), ys - ys.mean()
    direction = (np.degrees(np.arctan2(dy, dx)) % 360).astype(int) % DIRECTIONS
    radii = np.zeros(DIRECTIONS)
    np.maximum.at(radii, direction, np.hypot(dx, dy))
    seen = np.flatnonzero(radii)
    radii = np.interp(np.arange(DIRECTIONS), seen, radii[seen], period=DIRECTIONS)
    found = _descriptor(radii)
    return min(IDEAL, key=lambda name: float(np.linalg.norm(found - IDEAL[name])))


def judge(picture: Image.Image) -> Verdict:
    pixels = np.asarray(picture.convert("RGB"), dtype=np.float64)
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
    other = distance > NOTHING
    if other.mean() < 0.01:
        return Verdict("nothing", "nothing", nearest_colour(background), 1.0)
    strong = distance >= np.quantile(distance[other], 0.3)
    colour = np.median(pixels[strong & other], axis=0)
    axis = colour - background
    along = ((pixels - background) @ axis) / (axis @ axis)
    to_colour = np.linalg.norm(pixels - colour, axis=-1)
    clean = float(((distance < NOTHING) | (to_colour < NOTHING)).mean())
    return Verdict(outline_of(along > 0.5), nearest_colour(colour), nearest_colour(background), clean)
