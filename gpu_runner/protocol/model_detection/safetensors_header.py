"""Reader of .safetensors headers: names, shapes and metadata, without tensor data. The file is untrusted input."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]
Metadata = Mapping[str, str]

MAX_TENSORS = 100_000


def read_safetensors_header(path: Path) -> tuple[dict[str, Shape], dict[str, str]]:
    """Return the shapes by tensor name, and the metadata. Raises ValueError for invalid files, and OSError."""
    try:
        with safe_open(path, framework="numpy") as file:
            return shapes_and_metadata(file)
    except SafetensorError as error:
        raise ValueError(f"not a valid safetensors file: {error}") from error


def shapes_and_metadata(file: Any) -> tuple[dict[str, Shape], dict[str, str]]:
    """Return shapes and metadata of a file opened with ``safe_open``. Raises ValueError for too many tensors."""
    names = file.keys()
    if len(names) > MAX_TENSORS:
        raise ValueError(f"a safetensors file may have at most {MAX_TENSORS} tensors (got {len(names)})")
    return {name: tuple(file.get_slice(name).get_shape()) for name in names}, file.metadata() or {}
