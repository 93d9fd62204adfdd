"""Names, shapes and metadata of a .safetensors file, without its tensors and without torch. The file is not trusted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]
Metadata = Mapping[str, str]

MOST_TENSORS = 100_000


def read_safetensors_header(path: Path) -> tuple[dict[str, Shape], dict[str, str]]:
    """Shapes by tensor name, and the metadata. Raises ValueError for a file that safetensors refuses, and OSError."""
    try:
        with safe_open(path, framework="numpy") as file:
            return described(file)
    except SafetensorError as error:
        raise ValueError(f"not a valid safetensors file: {error}") from error


def described(file: Any) -> tuple[dict[str, Shape], dict[str, str]]:
    """The same of a file that ``safe_open`` has opened."""
    names = file.keys()
    if len(names) > MOST_TENSORS:
        raise ValueError(f"the header has {len(names)} tensors, {MOST_TENSORS} are allowed")
    return {name: tuple(file.get_slice(name).get_shape()) for name in names}, file.metadata() or {}
