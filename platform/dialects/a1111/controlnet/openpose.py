"""``/controlnet/render_openpose_json``: render OpenPose key points in the colors of the training data."""

from __future__ import annotations

import colorsys
import io
from collections.abc import Iterable, Iterator
from typing import Any

from PIL import Image, ImageDraw

from dialects.a1111.errors import Invalid, Unprocessable
from dialects.a1111.schema import images
from dialects.a1111.schema.coercion import array, integer, mapping, number

MAX_SIDE = 4096
MAX_PEOPLE = 100
Point = tuple[float, float] | None
# Pairs of the 18 OpenPose body key points, 0-based: neck to shoulders, arms, legs, face.
LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10),
    (1, 11), (11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
# Pairs of the 21 hand key points: the wrist, and four joints per finger.
FINGERS = tuple((0 if joint % 4 == 1 else joint - 1, joint) for joint in range(1, 21))


def render(body: Any) -> dict[str, Any]:
    try:
        poses = [mapping(pose) for pose in array(body)]
        if not poses:
            return {"info": "No pose data detected."}
        return {"images": [images.encode(_render_pose(pose)) for pose in poses], "info": "Success"}
    except Invalid as error:
        raise Unprocessable([error.at(("body",))]) from None


def _render_pose(pose: dict[str, Any]) -> bytes:
    width, height = (_side(pose.get(name, 512)) for name in ("canvas_width", "canvas_height"))
    canvas = Image.new("RGB", (width, height))
    for person in array(pose.get("people") or [])[:MAX_PEOPLE]:
        _draw_person(ImageDraw.Draw(canvas), mapping(person), canvas.size)
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG")
    return buffer.getvalue()


def _side(value: Any) -> int:
    side = integer(value)
    if not 1 <= side <= MAX_SIDE:
        message = f"ensure this value is less than or equal to {MAX_SIDE}"
        raise Invalid(message, "value_error.number.not_le", {"limit_value": MAX_SIDE})
    return side


def _draw_person(draw: ImageDraw.ImageDraw, person: dict[str, Any], size: tuple[int, int]) -> None:
    body = _points(person.get("pose_keypoints_2d"), size)
    _draw_lines(draw, body, LIMBS, width=max(2, min(size) // 128), brightness=0.6)
    for index, point in enumerate(body[:18]):
        _dot(draw, point, max(2, min(size) // 128), _color(index, 18))
    for name in ("hand_left_keypoints_2d", "hand_right_keypoints_2d"):
        hand = _points(person.get(name), size)
        _draw_lines(draw, hand, FINGERS, width=max(1, min(size) // 256))
        for point in hand:
            _dot(draw, point, max(1, min(size) // 128), (0, 0, 255))
    for point in _points(person.get("face_keypoints_2d"), size):
        _dot(draw, point, max(1, min(size) // 170), (255, 255, 255))


def _points(numbers: Any, size: tuple[int, int]) -> list[Point]:
    """Parse (x, y, confidence) triples into pixel coordinates; None for points with confidence 0.

    If all coordinates are at most 1, they are fractions of the canvas size.
    """
    values = [number(value) for value in array(numbers or [])]
    triples = list(zip(values[::3], values[1::3], values[2::3], strict=False))
    is_relative = all(x <= 1 and y <= 1 for x, y, _ in triples)
    scale = size if is_relative else (1, 1)
    return [(x * scale[0], y * scale[1]) if seen > 0 else None for x, y, seen in triples]


def _draw_lines(
    draw: ImageDraw.ImageDraw,
    points: list[Point],
    pairs: Iterable[tuple[int, int]],
    width: int,
    brightness: float = 1.0,
) -> None:
    pairs = list(pairs)
    for index, start, end in _endpoints(points, pairs):
        color = tuple(int(level * brightness) for level in _color(index, len(pairs)))
        draw.line([start, end], fill=color, width=width * 2)


def _endpoints(points: list[Point], pairs: list[tuple[int, int]]) -> Iterator[tuple[int, Any, Any]]:
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
