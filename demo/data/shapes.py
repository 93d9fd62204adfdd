"""Scenes of the demo data set: one colored shape on a uniform background, with anti-aliased edges.

Scenes are rendered from signed distances, so any crop at any scale costs the same and has no resampling blur.
Coordinates run from -1 to 1 over the image, y downwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (225, 35, 40),
    "green": (35, 160, 60),
    "blue": (40, 70, 220),
    "yellow": (250, 220, 45),
    "purple": (140, 50, 170),
    "orange": (250, 135, 25),
    "white": (250, 250, 250),
    "black": (15, 15, 15),
}
SHAPES = ("circle", "square", "triangle", "star")
COLOR_NAMES = tuple(COLORS)
PALETTE = torch.tensor([COLORS[name] for name in COLOR_NAMES], dtype=torch.float32) / 255

MAX_CORNERS = 10
STAR_WAIST = 0.45


def _corners(shape: str) -> Tensor:
    """Corners of a polygon about the unit circle, shape (10, 2), padded by repeating the last corner."""
    if shape == "square":
        angles, radii = [45, 135, 225, 315], [1.0] * 4
    elif shape == "triangle":
        angles, radii = [-90, 30, 150], [1.1] * 3
    else:
        angles, radii = [-90 + 36 * i for i in range(10)], [1.1, 1.1 * STAR_WAIST] * 5
    points = [
        (r * math.cos(math.radians(a)), r * math.sin(math.radians(a)))
        for a, r in zip(angles, radii, strict=True)
    ]
    points += [points[-1]] * (MAX_CORNERS - len(points))
    return torch.tensor(points)


POLYGONS = {index: _corners(name) for index, name in enumerate(SHAPES) if name != "circle"}


@dataclass
class Scenes:
    """A batch of scenes; every field's first dimension is the batch."""

    shape: Tensor  # int, index into SHAPES
    color: Tensor  # (n, 3) in 0..1
    background: Tensor  # (n, 3) in 0..1
    center: Tensor  # (n, 2)
    radius: Tensor  # (n,)
    angle: Tensor  # (n,) radians
    color_index: Tensor
    background_index: Tensor

    def __len__(self) -> int:
        return len(self.shape)

    def rows(self, index: slice | list[int]) -> Scenes:
        return Scenes(**{name: value[index] for name, value in vars(self).items()})


def random_scenes(
    count: int, generator: torch.Generator, jitter: float = 0.015, palette: Tensor = PALETTE
) -> Scenes:
    """Random scenes whose color differs from the background; ``jitter`` is the standard deviation of the colors."""

    def uniform(*size: int, low: float, high: float) -> Tensor:
        return torch.rand(*size, generator=generator) * (high - low) + low

    shape = torch.randint(len(SHAPES), (count,), generator=generator)
    color_index = torch.randint(len(COLOR_NAMES), (count,), generator=generator)
    step = torch.randint(1, len(COLOR_NAMES), (count,), generator=generator)
    background_index = (color_index + step) % len(COLOR_NAMES)

    def tint(index: Tensor) -> Tensor:
        return (palette[index] + torch.randn(count, 3, generator=generator) * jitter).clamp(0, 1)

    return Scenes(
        shape=shape,
        color=tint(color_index),
        background=tint(background_index),
        center=uniform(count, 2, low=-0.22, high=0.22),
        radius=uniform(count, low=0.42, high=0.68),
        angle=uniform(count, low=-0.22, high=0.22),
        color_index=color_index,
        background_index=background_index,
    )


def _polygon_distance(points: Tensor, corners: Tensor) -> Tensor:
    """Signed distance, negative inside; points (n, h, w, 2), corners (n, k, 2).

    The nearest point over all edges, with the sign from the crossing rule
    (the method of https://iquilezles.org/articles/distfunctions2d/, polygon).
    """
    first = corners[:, 0, None, None, :]
    squared = ((points - first) ** 2).sum(-1)
    sign = torch.ones_like(squared)
    for i in range(corners.shape[1]):
        a, b = corners[:, i, None, None, :], corners[:, i - 1, None, None, :]
        edge, to_point = b - a, points - a
        along = ((to_point * edge).sum(-1) / (edge * edge).sum(-1).clamp_min(1e-12)).clamp(0, 1)
        squared = torch.minimum(squared, ((to_point - edge * along[..., None]) ** 2).sum(-1))
        above, below = points[..., 1] >= a[..., 1], points[..., 1] < b[..., 1]
        left = edge[..., 0] * to_point[..., 1] > edge[..., 1] * to_point[..., 0]
        crosses = (above & below & left) | (~above & ~below & ~left)
        sign = torch.where(crosses, -sign, sign)
    return sign * squared.sqrt()


def draw(
    scenes: Scenes,
    height: int,
    width: int,
    origin: Tensor | None = None,
    extent: Tensor | None = None,
    ring: float = 0.0,
) -> Tensor:
    """Render images (n, 3, height, width) in 0..1 of the window that starts at ``origin`` (n, 2) and is ``extent`` (n,) wide.

    With ``ring``, only a band of this width (as a share of the radius) along the edge of the shape is drawn.
    """
    count = len(scenes)
    if origin is None:
        origin = torch.full((count, 2), -1.0)
        if height != width:
            origin[:, 1] = -height / width
    if extent is None:
        extent = torch.full((count,), 2.0)
    pixel = extent / width
    xs = origin[:, 0, None] + (torch.arange(width) + 0.5) * pixel[:, None]
    ys = origin[:, 1, None] + (torch.arange(height) + 0.5) * pixel[:, None]
    points = torch.stack(
        [xs[:, None, :].expand(-1, height, -1), ys[:, :, None].expand(-1, -1, width)], dim=-1
    )
    points = points - scenes.center[:, None, None, :]
    cos, sin = scenes.angle.cos()[:, None, None], scenes.angle.sin()[:, None, None]
    points = torch.stack(
        [cos * points[..., 0] + sin * points[..., 1], cos * points[..., 1] - sin * points[..., 0]], dim=-1
    )
    distance = points.norm(dim=-1) - scenes.radius[:, None, None] * 0.9
    for index, corners in POLYGONS.items():
        rows = scenes.shape == index
        if rows.any():
            distance[rows] = _polygon_distance(points[rows], corners * scenes.radius[rows][:, None, None])
    if ring:
        band = (ring / 2 * scenes.radius)[:, None, None]
        distance = (distance + band).abs() - band
    coverage = (0.5 - distance / pixel[:, None, None]).clamp(0, 1)[:, None]
    return scenes.background[:, :, None, None] * (1 - coverage) + scenes.color[:, :, None, None] * coverage
