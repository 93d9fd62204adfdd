"""The head of a .safetensors file: names, shapes and metadata, without reading a tensor. The file is not trusted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]
Metadata = Mapping[str, str]

LONGEST_HEADER = 100_000_000  # the format's own limit
MOST_TENSORS = 100_000
BYTES_OF_DTYPE = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64"), 8),
}


def read_safetensors_header(path: Path) -> tuple[dict[str, Shape], dict[str, str]]:
    """Shapes by tensor name, and the metadata. ValueError says what is wrong with the file."""
    header, room = _header(path)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("the metadata is not a table of strings")
    if len(header) > MOST_TENSORS:
        raise ValueError("the header names too many tensors")
    return {name: _shape(name, entry, room) for name, entry in header.items()}, metadata


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """The JSON object at the front, and the number of bytes that follow it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, LONGEST_HEADER):
            raise ValueError("not a safetensors file: it ends before its header does")
        text = file.read(length)
    try:
        header = dict(json.loads(text).items())
    except (AttributeError, RecursionError, ValueError) as error:
        raise ValueError("not a safetensors file: its header is not a JSON object") from error
    return header, size - 8 - length


def _shape(name: str, entry: Any, room: int) -> Shape:
    try:
        shape, (begin, end) = tuple(entry["shape"]), entry["data_offsets"]
        width = BYTES_OF_DTYPE[entry["dtype"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"tensor {name[:100]} is not described as the format asks") from error
    if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
        raise ValueError(f"tensor {name[:100]} has a size that is not a whole number")
    if end > room or end - begin != width * prod(shape):
        raise ValueError(f"tensor {name[:100]} does not fit the file: it is cut short or damaged")
    return shape
