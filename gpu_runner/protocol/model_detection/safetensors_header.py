"""Reader of .safetensors headers: names, shapes and metadata, without tensor data. The file is untrusted input."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from .storage.scaled_weights import LAYER_FORMAT, MAX_FORMAT_BYTES, layer_formats, scaled_weights
from .storage.tensor_header import Shape, TensorHeader, check_number

Shapes = Mapping[str, Shape]
Metadata = Mapping[str, str]


def read_safetensors_header(path: Path) -> tuple[dict[str, Shape], dict[str, str]]:
    """Return the shapes by tensor name, and the metadata. Raises ValueError for invalid files, and OSError."""
    header = read_header(path)
    return header.shapes, header.metadata


def read_header(path: Path) -> TensorHeader:
    """Read the header of a file. Raises ValueError for invalid files, and OSError."""
    try:
        with safe_open(path, framework="numpy") as file:
            return header_of(file)
    except SafetensorError as error:
        raise ValueError(f"not a valid safetensors file: {error}") from error


def header_of(file: Any) -> TensorHeader:
    """The header of a file opened with ``safe_open``. Raises ValueError for too many tensors or malformed formats."""
    names = file.keys()
    check_number(len(names))
    slices = {name: file.get_slice(name) for name in names}
    shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
    metadata: dict[str, str] = file.metadata() or {}
    dtypes = {name: str(part.get_dtype()) for name, part in slices.items()}
    formats = layer_formats(metadata, _format_tensors(file, shapes, dtypes))
    scaled = scaled_weights(shapes, dtypes, formats)
    visible = {name: shape for name, shape in shapes.items() if name not in scaled.hidden}
    return TensorHeader(visible, metadata, scaled.problem, scaled.scales)


def _format_tensors(file: Any, shapes: Shapes, dtypes: Mapping[str, str]) -> dict[str, bytes]:
    names = [name for name in shapes if name.endswith(LAYER_FORMAT)]
    for name in names:
        if dtypes[name] != "U8" or prod(shapes[name]) > MAX_FORMAT_BYTES:
            raise ValueError(f"{name[:80]} must have at most {MAX_FORMAT_BYTES} bytes")
    return {name: bytes(bytearray(file.get_tensor(name).tolist())) for name in names}
