"""What the recognition of a family of diffusion transformers needs to know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .key_map import KeyMap, Shapes

Config = dict[str, Any]


@dataclass(frozen=True)
class Transformer:
    """A family of diffusion transformers and its layouts.

    ``marks``: tensors that only this family has, by layout. ``config`` infers the arguments of the class ``class_name``
    of diffusers from shapes in diffusers' names; it raises ValueError. ``detail`` tells variants apart; ``context`` is
    the tensor whose last dimension is the width of the text encoder's states.
    """

    family: str
    class_name: str
    key_map: KeyMap
    marks: Mapping[str, tuple[str, ...]]  # "original" and "diffusers"
    config: Callable[[Shapes], Config]
    context: str
    detail: Callable[[Shapes], Config] = lambda shapes: {}
    not_drawn: Callable[[Shapes], str] = lambda shapes: (
        ""
    )  # why a variant is not drawn, whatever the engine's state


def width_of(shapes: Shapes, name: str, axis: int) -> int:
    """Length of a tensor along an axis. Raises ValueError if it is missing or has fewer axes."""
    shape = shapes.get(name, ())
    if not -len(shape) <= axis < len(shape):
        raise ValueError(f"missing tensor {name}")
    return shape[axis]


def rotary_axes(head: int, shares: tuple[int, ...]) -> tuple[int, ...]:
    """Divide a head's width among the axes of rotary embeddings as the released models do, whose heads are 128 wide.

    Narrower heads get even numbers, the remainder on the first axis.
    """
    rest = [head * share // sum(shares) // 2 * 2 for share in shares[1:]]
    return (head - sum(rest), *rest)
