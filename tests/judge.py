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
# Area over the circumscribed circle's and over the convex hull's, of the ideal outlines.
OUTLINES = {"circle": (1.0, 1.0), "square": (0.637, 1.0), "triangle": (0.413, 1.0), "star": (0.42, 0.556)}


@dataclass(frozen=True)
class Verdict:
    shape: str
    colour: str
    background: str
    clean: float  # share of the pixels that are plainly background or plainly shape


def nearest_colour(rgb: NDArray[np.float64]) -> str:
    return min(COLOURS, key=lambda name: float(np.linalg.norm(rgb - np.array(COLOURS[name]))))


def _hull_area(points: NDArray[np.float64]) -> float:
    """Andrew's monotone chain, then the shoelace formula."""
    points = points[np.lexsort((points[:, 1], points[:, 0]))]

    def chain(ordered: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        hull: list[NDArray[np.float64]] = []
        for point in ordered:
            while len(hull) > 1:
                (ax, ay), (bx, by) = hull[-1] - hull[-2], point - hull[-2]
                if ax * by - ay * bx > 0:
                    break
                hull.pop()
            hull.append(point)
        return hull[:-1]

    corners = np.array(chain(points) + chain(points[::-1]))
    x, y = corners[:, 0], corners[:, 1]
    return abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2


def outline_of(mask: NDArray[np.bool_]) -> str:
    ys, xs = np.nonzero(mask)
    if len(xs) < 0.01 * mask.size or len(xs) > 0.8 * mask.size:
        return "nothing"
    centre = np.array([xs.mean(), ys.mean()])
    radii = np.hypot(xs - centre[0], ys - centre[1])
    round_ = len(xs) / (np.pi * np.quantile(radii, 0.998) ** 2)
    edge = mask & ~(np.roll(mask, 1, 0) & np.roll(mask, -1, 0) & np.roll(mask, 1, 1) & np.roll(mask, -1, 1))
    ey, ex = np.nonzero(edge)
    solid = len(xs) / max(1.0, _hull_area(np.stack([ex, ey], 1).astype(float)))
    found = np.array([round_, min(solid, 1.0)])
    return min(OUTLINES, key=lambda name: float(np.linalg.norm(found - np.array(OUTLINES[name]))))


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
