"""The input images in a request, at any depth."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel

from .values import InputImage


def input_images_of(part: Any, path: str) -> Iterator[tuple[str, InputImage]]:
    if isinstance(part, InputImage):
        yield path, part
    elif isinstance(part, tuple):
        for index, item in enumerate(part):
            yield from input_images_of(item, f"{path}.{index}")
    elif isinstance(part, BaseModel):
        for name in _fields_with_images(type(part)):
            if value := getattr(part, name):
                yield from input_images_of(value, f"{path}.{name}" if path else name)


@cache
def _fields_with_images(model: type[BaseModel]) -> tuple[str, ...]:
    return tuple(name for name, field in model.model_fields.items() if _may_hold_image(field.annotation))


def _may_hold_image(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation is InputImage or bool(_fields_with_images(annotation))
    return any(_may_hold_image(part) for part in get_args(annotation))
