"""Reader of .onnx headers: inputs, outputs and metadata of the graph, without weights. The file is untrusted input.

An ONNX file is one protobuf message. Only the fields below are parsed (numbers from onnx.proto3); nodes and weights, which
make up most of the file, are skipped by their length.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

GRAPH, METADATA = 7, 14  # of a ModelProto
WEIGHT, INPUT, OUTPUT = 5, 11, 12  # of a GraphProto
VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5  # protobuf's wire types
MAX_MESSAGE_BYTES = 1_000_000  # of a message that is read into memory
MAX_TENSORS = 10_000

OnnxShape = tuple[int | None, ...]  # None: dynamic


@dataclass(frozen=True)
class OnnxHeader:
    """Shapes of a graph's inputs and outputs by name, and the model's metadata."""

    inputs: Mapping[str, OnnxShape]
    outputs: Mapping[str, OnnxShape]
    metadata: Mapping[str, str]


def read_onnx_header(path: Path) -> OnnxHeader:
    """Read the header of a file. Raises ValueError if it is not an ONNX file or is truncated."""
    inputs: dict[str, OnnxShape] = {}
    outputs: dict[str, OnnxShape] = {}
    metadata: dict[str, str] = {}
    with path.open("rb") as file:
        for field, end in _parts(file, path.stat().st_size):
            if field == METADATA:
                entry = _read(file, end)
                metadata[_text(entry, 1)] = _text(entry, 2)
            if field == GRAPH:
                _graph(file, end, inputs, outputs)
    if not inputs or not outputs:
        raise ValueError("not an ONNX file: it has no graph with inputs and outputs")
    return OnnxHeader(inputs, outputs, metadata)


def _graph(file: BinaryIO, end: int, inputs: dict[str, OnnxShape], outputs: dict[str, OnnxShape]) -> None:
    weights: set[str] = set()
    for field, stop in _parts(file, end):
        if field in (INPUT, OUTPUT):
            value = _read(file, stop)
            (inputs if field == INPUT else outputs)[_text(value, 1)] = _shape(value)
        if field == WEIGHT:
            weights.add(_weight_name(file, stop))
        if len(inputs) + len(outputs) + len(weights) > MAX_TENSORS:
            raise ValueError(f"an ONNX file may have at most {MAX_TENSORS} tensors")
    for name in weights & inputs.keys():  # before IR version 4, weights had to be inputs too
        del inputs[name]


def _weight_name(file: BinaryIO, end: int) -> str:
    names = (_read(file, stop).decode(errors="replace") for field, stop in _parts(file, end) if field == 8)
    return next(names, "")


def _shape(value: bytes) -> OnnxShape:
    """Return the shape in a ValueInfoProto: type (2), tensor_type (1), shape (2), dim (1), dim_value (1)."""
    shape = next(_messages(next(_messages(next(_messages(value, 2), b""), 1), b""), 2), b"")
    return tuple(next(_numbers(side, 1), None) for side in _messages(shape, 1))


def _text(message: bytes, field: int) -> str:
    return next(_messages(message, field), b"").decode(errors="replace")


def _messages(message: bytes, wanted: int) -> Iterator[bytes]:
    file = io.BytesIO(message)
    return (_read(file, stop) for field, stop in _parts(file, len(message)) if field == wanted)


def _numbers(message: bytes, wanted: int) -> Iterator[int]:
    fields = _fields(io.BytesIO(message), len(message))
    return (number for field, wire, number in fields if (field, wire) == (wanted, VARINT))


def _parts(file: BinaryIO, end: int) -> Iterator[tuple[int, int]]:
    """Yield (field, end offset) of length-delimited fields. The file position is at the start of the field's content."""
    return ((field, number) for field, wire, number in _fields(file, end) if wire == BYTES)


def _fields(file: BinaryIO, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield (field, wire type, value or end offset) of each field up to ``end``."""
    position = file.tell()
    while position < end:
        field, wire = divmod(_varint(file), 8)
        if wire not in (VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES):
            raise ValueError("not an ONNX file")
        number = _varint(file) if wire in (VARINT, BYTES) else 0
        position = file.tell() + {EIGHT_BYTES: 8, FOUR_BYTES: 4, BYTES: number}.get(wire, 0)
        if position > end:
            raise ValueError("truncated ONNX file")
        yield field, wire, position if wire == BYTES else number
        file.seek(position)


def _varint(file: BinaryIO) -> int:
    number = 0
    for position in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            break
        number |= (byte[0] & 0x7F) << position
        if byte[0] < 0x80:
            return number
    raise ValueError("truncated ONNX file: incomplete varint")


def _read(file: BinaryIO, end: int) -> bytes:
    length = end - file.tell()
    if length > MAX_MESSAGE_BYTES:
        raise ValueError(f"an ONNX description may have at most {MAX_MESSAGE_BYTES} bytes (got {length})")
    return file.read(length)
