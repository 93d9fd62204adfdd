"""``/controlnet/render_openpose_json``: render OpenPose and animal key points in the colors of the training data."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

from PIL import Image, ImageDraw

from dialects.a1111.errors import Invalid, Location, Unprocessable
from dialects.a1111.schema import images
from dialects.a1111.schema.coercion import array, integer, mapping, not_null, number
from gpu_runner.protocol.images.pose_drawing import Point, draw_person

MAX_SIDE = 4096
MAX_FIGURES = 100  # people, and animals, of a pose
NUMBERS_PER_POINT = 3  # x, y, confidence
MIN_CONFIDENCE = 1.0  # the extension draws no key points below
# Pairs of the 17 AP-10K key points of an animal, 0-based, with the color of the line between them.
ANIMAL_LINES = (
    (0, 1, (255, 255, 255)), (1, 2, (100, 255, 100)), (0, 2, (150, 255, 255)), (2, 3, (100, 50, 255)),
    (3, 8, (50, 150, 200)), (8, 9, (0, 255, 255)), (9, 10, (0, 150, 0)), (3, 5, (0, 0, 255)),
    (5, 6, (0, 0, 150)), (6, 7, (255, 50, 255)), (3, 4, (255, 0, 255)), (4, 14, (255, 0, 0)),
    (14, 15, (150, 0, 0)), (15, 16, (255, 255, 100)), (4, 11, (0, 150, 0)), (11, 12, (255, 255, 0)),
    (12, 13, (150, 150, 150)),
)  # fmt: skip
ANIMAL_LINE_WIDTH = 5
PEOPLE, ANIMALS = "people", "animals"


def render(body: Any) -> dict[str, Any]:
    """Render one PNG per pose of the list. Raises Unprocessable at the invalid value."""
    poses = _read(array, body, ("body",))
    if not poses:
        return {"info": "No pose data detected."}
    rendered = [_render_pose(pose, ("body", index)) for index, pose in enumerate(poses)]
    return {"images": [images.encode(png) for png in rendered], "info": "Success"}


def _read(coerce: Callable[[Any], Any], value: Any, location: Location) -> Any:
    try:
        return coerce(value)
    except Invalid as error:
        raise Unprocessable([error.at(location)]) from None


def _required(values: dict[str, Any], name: str, location: Location) -> Any:
    if name not in values:
        raise Unprocessable.at((*location, name), "field required", "value_error.missing")
    return _read(not_null, values[name], (*location, name))


def _render_pose(given: Any, location: Location) -> bytes:
    pose = _read(mapping, given, location)
    if ANIMALS not in pose and PEOPLE not in pose:
        _required(pose, PEOPLE, location)
    size = _side(pose, "canvas_width", location), _side(pose, "canvas_height", location)
    canvas = Image.new("RGB", size)
    draw = ImageDraw.Draw(canvas)
    for place, person in _figures(pose, PEOPLE, location):
        _draw_person(canvas, _read(mapping, person, place), place)
    for place, animal in _figures(pose, ANIMALS, location):
        _draw_animal(draw, _points(animal, size, place))
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG")
    return buffer.getvalue()


def _side(pose: dict[str, Any], name: str, location: Location) -> int:
    side: int = _read(integer, _required(pose, name, location), (*location, name))
    if side < 1:
        message, kind, limit = "greater than or equal to 1", "value_error.number.not_ge", 1
    elif side > MAX_SIDE:
        message, kind, limit = f"less than or equal to {MAX_SIDE}", "value_error.number.not_le", MAX_SIDE
    else:
        return side
    raise Unprocessable.at((*location, name), f"ensure this value is {message}", kind, {"limit_value": limit})


def _figures(pose: dict[str, Any], name: str, location: Location) -> Iterator[tuple[Location, Any]]:
    """Yield the people or animals of a pose, with their locations."""
    figures = _read(array, pose.get(name) or [], (*location, name))
    if len(figures) > MAX_FIGURES:
        message = f"ensure this value has at most {MAX_FIGURES} items"
        context = {"limit_value": MAX_FIGURES}
        raise Unprocessable.at((*location, name), message, "value_error.list.max_items", context)
    for index, figure in enumerate(figures):
        yield (*location, name, index), figure


def _draw_animal(draw: ImageDraw.ImageDraw, points: list[Point]) -> None:
    for first, second, color in ANIMAL_LINES:
        if max(first, second) < len(points):
            start, end = points[first], points[second]
            if start and end:
                draw.line([start, end], fill=color, width=ANIMAL_LINE_WIDTH)


def _draw_person(canvas: Image.Image, person: dict[str, Any], location: Location) -> None:
    def points(name: str) -> list[Point]:
        return _points(person.get(name) or [], canvas.size, (*location, name))

    _required(person, "pose_keypoints_2d", location)
    hands = (points(name) for name in ("hand_left_keypoints_2d", "hand_right_keypoints_2d"))
    draw_person(canvas, points("pose_keypoints_2d"), hands, points("face_keypoints_2d"))


def _points(numbers: Any, size: tuple[int, int], location: Location) -> list[Point]:
    """Parse (x, y, confidence) triples into pixel coordinates; None for points with a confidence below 1.

    If all coordinates are at most 1, they are fractions of the canvas size.
    """
    given = _read(array, numbers, location)
    if len(given) % NUMBERS_PER_POINT:
        message = f"ensure the number of values is a multiple of {NUMBERS_PER_POINT}: x, y and confidence"
        raise Unprocessable.at(location, message, "value_error")
    values = [_read(number, value, (*location, index)) for index, value in enumerate(given)]
    triples = list(zip(values[::3], values[1::3], values[2::3], strict=True))
    is_relative = all(x <= 1 and y <= 1 for x, y, _ in triples)
    scale = size if is_relative else (1, 1)
    return [
        (x * scale[0], y * scale[1]) if confidence >= MIN_CONFIDENCE else None for x, y, confidence in triples
    ]
