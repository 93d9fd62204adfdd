"""Reader of .safetensors headers: names, shapes and metadata, without tensor data. The file is untrusted input."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]
Metadata = Mapping[str, str]

MAX_HEADER_BYTES = 100_000_000  # limit of the format
MAX_TENSORS = 100_000
BYTES_OF_DTYPE = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64"), 8),
}


def read_safetensors_header(path: Path) -> tuple[dict[str, Shape], dict[str, str]]:
    """Return the shapes by tensor name, and the metadata. Raises ValueError for invalid files."""
    header, data_bytes = _header(path)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("invalid safetensors header: metadata must map strings to strings")
    if len(header) > MAX_TENSORS:
        raise ValueError(f"a safetensors file may have at most {MAX_TENSORS} tensors (got {len(header)})")
    return {name: _shape(name, entry, data_bytes) for name, entry in header.items()}, metadata


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """Return the header's JSON object, and the number of bytes after it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, MAX_HEADER_BYTES):
            raise ValueError("not a safetensors file, or a truncated one: incomplete header")
        text = file.read(length)
    try:
        header = dict(json.loads(text).items())
    except (AttributeError, RecursionError, ValueError) as error:
        raise ValueError("not a safetensors file: the header is not a JSON object") from error
    return header, size - 8 - length


def _shape(name: str, entry: Any, data_bytes: int) -> Shape:
    try:
        shape, (begin, end) = tuple(entry["shape"]), entry["data_offsets"]
        width = BYTES_OF_DTYPE[entry["dtype"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"invalid safetensors header: tensor {name[:100]} must have dtype, shape and data_offsets"
        ) from error
    if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
        raise ValueError(f"invalid safetensors header: sizes of tensor {name[:100]} must be integers from 0")
    if end > data_bytes or end - begin != width * prod(shape):
        raise ValueError(f"truncated or damaged safetensors file: tensor {name[:100]} does not fit")
    return shape
