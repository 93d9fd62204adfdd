"""Tensor names of a transformer in its original layout and in that of diffusers, as rules. No torch.

A rule maps one original tensor to one tensor of diffusers, or to several that have its rows one after another, as for
fused projections of query, key and value. All sizes come from the shapes of the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gpu_runner.protocol.model_detection.storage.tensor_header import Shape

Shapes = Mapping[str, Shape]
LINEAR = {"weight": "weight", "bias": "bias"}
MATRIX = {"weight": "weight"}
SCALE = {"scale": "weight"}  # normalizations of Black Forest Labs' code
BARE: dict[str, str] = {"": ""}  # a parameter that belongs to no inner module


@dataclass(frozen=True)
class Rule:
    """``endings`` maps endings of the original name to those of diffusers.

    ``swap``: the two halves of the rows change places, for the shift and scale of a final normalization; "last" does so
    in the last block only. ``where``: the blocks that have the module. ``optional`` modules are in some models only.
    """

    original: str
    diffusers: tuple[str, ...]
    endings: Mapping[str, str] = field(default_factory=lambda: LINEAR)
    swap: Literal["", "always", "last"] = ""
    where: Literal["", "but_last"] = ""
    optional: bool = False


def rule(
    original: str,
    *diffusers: str,
    endings: Mapping[str, str] = LINEAR,
    swap: Literal["", "always", "last"] = "",
    where: Literal["", "but_last"] = "",
    optional: bool = False,
) -> Rule:
    """A rule; without names of diffusers, the names are the same."""
    return Rule(original, diffusers or (original,), endings, swap, where, optional)


@dataclass(frozen=True)
class Stack:
    """Blocks of one kind, numbered from 0."""

    original: str
    diffusers: str
    rules: tuple[Rule, ...]
    optional: bool = False


@dataclass(frozen=True)
class KeyMap:
    """``ignored``: original tensors that have no part in the result."""

    top: tuple[Rule, ...]
    stacks: tuple[Stack, ...]
    ignored: re.Pattern[str] = re.compile(r"(?!)")


@dataclass(frozen=True)
class Part:
    """Rows of a tensor of the file: from ``start`` to ``stop``, all without them, with the halves swapped or not."""

    source: str
    shape: Shape
    start: int | None = None
    stop: int | None = None
    swap: bool = False


@dataclass(frozen=True)
class Conversion:
    """``parts``: tensor name in diffusers -> what it consists of. ``missing`` and ``unexpected`` are original names."""

    parts: Mapping[str, Part]
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()

    @property
    def shapes(self) -> dict[str, Shape]:
        """Shapes by tensor name in diffusers."""
        return {name: part.shape for name, part in self.parts.items()}


def convert(
    key_map: KeyMap, shapes: Shapes, prefix: str, layout: Literal["original", "diffusers"]
) -> Conversion:
    """Find each tensor of diffusers in a file. Raises ValueError if blocks are numbered with gaps, or rows do not fit.

    ``prefix`` precedes the names of the network in the file; other tensors are not looked at.
    """
    inner = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
    parts: dict[str, Part] = {}
    missing: list[str] = []
    used: set[str] = set()
    for original, names, swap, is_optional in _expected(key_map, inner, layout):
        if original not in inner:
            if not is_optional:
                missing.append(original)
            continue
        used.add(original)
        parts |= _parts(inner, original, names, swap, prefix)
    unexpected = [name for name in inner if name not in used and not key_map.ignored.search(name)]
    return Conversion(parts, tuple(missing), tuple(unexpected))


Expected = tuple[str, tuple[str, ...], bool, bool]  # name in the file, names in diffusers, swapped, optional


def _expected(key_map: KeyMap, inner: Shapes, layout: str) -> Iterator[Expected]:
    yield from _of_rules(key_map.top, "", "", layout, is_last=False)
    for stack in key_map.stacks:
        start = stack.original if layout == "original" else stack.diffusers
        count = number_of_blocks(inner, start)
        if count == 0 and not stack.optional:
            raise ValueError(f"it has no blocks named {start}")
        for block in range(count):
            names = f"{stack.original}.{block}.", f"{stack.diffusers}.{block}."
            yield from _of_rules(stack.rules, *names, layout, is_last=block + 1 == count)


def _of_rules(
    rules: tuple[Rule, ...], original: str, diffusers: str, layout: str, *, is_last: bool
) -> Iterator[Expected]:
    for each in rules:
        if each.where == "but_last" and is_last:
            continue
        for their_ending, our_ending in each.endings.items():
            names = tuple(_tensor(f"{diffusers}{name}", our_ending) for name in each.diffusers)
            if layout == "diffusers":
                yield from ((name, (name,), False, each.optional) for name in names)
            else:
                swap = each.swap == "always" or (each.swap == "last" and is_last)
                yield _tensor(f"{original}{each.original}", their_ending), names, swap, each.optional


def _tensor(module: str, ending: str) -> str:
    return f"{module.rstrip('.')}.{ending}" if ending else module


def number_of_blocks(shapes: Shapes, start: str) -> int:
    """Number of blocks named ``start.0`` and so on. Raises ValueError if a number is left out."""
    pattern = re.compile(rf"{re.escape(start)}\.(\d{{1,6}})\.")
    found = {int(match[1]) for name in shapes if (match := pattern.match(name))}
    if found != set(range(len(found))):
        raise ValueError(f"its blocks {start} are not numbered from 0 without gaps")
    return len(found)


def _parts(inner: Shapes, original: str, names: tuple[str, ...], swap: bool, prefix: str) -> dict[str, Part]:
    shape = inner[original]
    source = f"{prefix}{original}"
    if len(names) == 1:
        if swap and (not shape or shape[0] % 2):
            raise ValueError(f"{original} must have an even number of rows")
        return {names[0]: Part(source, shape, swap=swap)}
    if not shape:
        raise ValueError(f"{original} has no rows")
    result, start = {}, 0
    for name, size in zip(names, _sizes(inner, original, len(names)), strict=True):
        result[name] = Part(source, (size, *shape[1:]), start, start + size)
        start += size
    return result


def _sizes(inner: Shapes, original: str, number: int) -> list[int]:
    """Rows of each part: thirds for query, key and value; with a fourth part, as many as there are columns for each."""
    rows = inner[original][0]
    if number == 3:
        if rows % 3:
            raise ValueError(f"{original} must have three equal parts (got {rows} rows)")
        return [rows // 3] * 3
    weight = inner.get(
        original.removesuffix("bias") + "weight" if original.endswith("bias") else original, ()
    )
    width = weight[1] if len(weight) == 2 else 0
    if not 0 < 3 * width < rows:
        raise ValueError(f"{original} must have more rows than three times its columns")
    return [width, width, width, rows - 3 * width]
