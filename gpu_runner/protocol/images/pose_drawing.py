"""Draws the key points of people in the colors of OpenPose, in which pose ControlNets were trained."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from PIL import Image, ImageDraw

Point = tuple[float, float] | None  # pixels; None: not found
# Pairs of the 18 OpenPose body key points, 0-based: neck to shoulders, arms, legs, face.
LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10),
    (1, 11), (11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
BODY_POINTS = 18
# Pairs of the 21 hand key points: the wrist, and four joints per finger.
FINGERS = tuple((0 if joint % 4 == 1 else joint - 1, joint) for joint in range(1, 21))


def draw_person(
    canvas: Image.Image,
    body: Sequence[Point] = (),
    hands: Iterable[Sequence[Point]] = (),
    face: Sequence[Point] = (),
) -> None:
    """Draw one person onto an RGB image. Widths follow from the size of the image."""
    draw, side = ImageDraw.Draw(canvas), min(canvas.size)
    _draw_lines(draw, body, LIMBS, width=max(2, side // 128), brightness=0.6)
    for index, point in enumerate(body[:BODY_POINTS]):
        _dot(draw, point, max(2, side // 128), _color(index, BODY_POINTS))
    for hand in hands:
        _draw_lines(draw, hand, FINGERS, width=max(1, side // 256))
        for point in hand:
            _dot(draw, point, max(1, side // 128), (0, 0, 255))
    for point in face:
        _dot(draw, point, max(1, side // 170), (255, 255, 255))


def _draw_lines(
    draw: ImageDraw.ImageDraw,
    points: Sequence[Point],
    pairs: Iterable[tuple[int, int]],
    width: int,
    brightness: float = 1.0,
) -> None:
    pairs = list(pairs)
    for index, start, end in _endpoints(points, pairs):
        color = tuple(int(level * brightness) for level in _color(index, len(pairs)))
        draw.line([start, end], fill=color, width=width * 2)


def _endpoints(points: Sequence[Point], pairs: list[tuple[int, int]]) -> Iterator[tuple[int, Any, Any]]:
    for index, (first, second) in enumerate(pairs):
        if max(first, second) < len(points) and points[first] and points[second]:
            yield index, points[first], points[second]


def _dot(draw: ImageDraw.ImageDraw, point: Point, radius: int, color: tuple[int, ...]) -> None:
    if point:
        x, y = point
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)


def _color(index: int, count: int) -> tuple[int, ...]:
    """RGB color number ``index`` of ``count`` evenly spaced hues, starting with red."""
    return tuple(round(255 * level) for level in colorsys.hsv_to_rgb(index / count, 1, 1))
