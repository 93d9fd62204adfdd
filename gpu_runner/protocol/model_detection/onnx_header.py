"""The head of an .onnx file: the graph's inputs, outputs and metadata, without reading a weight. The file is not trusted.

An ONNX file is one protobuf message. Only the fields named here are looked into (numbers from onnx.proto3); the nodes and
weights, which are nearly all of the file, are skipped by their length.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

GRAPH, METADATA = 7, 14  # of a ModelProto
WEIGHT, INPUT, OUTPUT = 5, 11, 12  # of a GraphProto
WHOLE_NUMBER, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5  # protobuf's wire types
LONGEST_DESCRIPTION = 1_000_000
MOST_DESCRIPTIONS = 10_000

Sides = tuple[int | None, ...]  # None: the graph takes any


@dataclass(frozen=True)
class OnnxHeader:
    inputs: Mapping[str, Sides]
    outputs: Mapping[str, Sides]
    metadata: Mapping[str, str]


def read_onnx_header(path: Path) -> OnnxHeader:
    """ValueError says what is wrong with the file."""
    inputs: dict[str, Sides] = {}
    outputs: dict[str, Sides] = {}
    metadata: dict[str, str] = {}
    with path.open("rb") as file:
        for field, end in _parts(file, path.stat().st_size):
            if field == METADATA:
                entry = _read(file, end)
                metadata[_text(entry, 1)] = _text(entry, 2)
            if field == GRAPH:
                _graph(file, end, inputs, outputs)
    if not inputs or not outputs:
        raise ValueError("not an ONNX file: it describes no graph")
    return OnnxHeader(inputs, outputs, metadata)


def _graph(file: BinaryIO, end: int, inputs: dict[str, Sides], outputs: dict[str, Sides]) -> None:
    weights: set[str] = set()
    for field, stop in _parts(file, end):
        if field in (INPUT, OUTPUT):
            value = _read(file, stop)
            (inputs if field == INPUT else outputs)[_text(value, 1)] = _sides(value)
        if field == WEIGHT:
            weights.add(_name_of_weight(file, stop))
        if len(inputs) + len(outputs) + len(weights) > MOST_DESCRIPTIONS:
            raise ValueError("the graph names too many tensors")
    for name in weights & inputs.keys():  # before version 4 of the format, weights were inputs too
        del inputs[name]


def _name_of_weight(file: BinaryIO, end: int) -> str:
    names = (_read(file, stop).decode(errors="replace") for field, stop in _parts(file, end) if field == 8)
    return next(names, "")


def _sides(value: bytes) -> Sides:
    """ValueInfoProto: 2 the type; TypeProto: 1 the tensor; its 2 the shape; its 1 the sides; a side's 1 its length."""
    shape = next(_messages(next(_messages(next(_messages(value, 2), b""), 1), b""), 2), b"")
    return tuple(next(_numbers(side, 1), None) for side in _messages(shape, 1))


def _text(message: bytes, field: int) -> str:
    return next(_messages(message, field), b"").decode(errors="replace")


def _messages(message: bytes, wanted: int) -> Iterator[bytes]:
    file = io.BytesIO(message)
    return (_read(file, stop) for field, stop in _parts(file, len(message)) if field == wanted)


def _numbers(message: bytes, wanted: int) -> Iterator[int]:
    fields = _fields(io.BytesIO(message), len(message))
    return (number for field, wire, number in fields if (field, wire) == (wanted, WHOLE_NUMBER))


def _parts(file: BinaryIO, end: int) -> Iterator[tuple[int, int]]:
    """Numbers and ends of the fields that have a length. While one is looked at, the file stands at its start."""
    return ((field, number) for field, wire, number in _fields(file, end) if wire == BYTES)


def _fields(file: BinaryIO, end: int) -> Iterator[tuple[int, int, int]]:
    """(field, wire type, its number, or where it ends) of each field from here to ``end``."""
    place = file.tell()
    while place < end:
        field, wire = divmod(_varint(file), 8)
        if wire not in (WHOLE_NUMBER, EIGHT_BYTES, BYTES, FOUR_BYTES):
            raise ValueError("not an ONNX file")
        number = _varint(file) if wire in (WHOLE_NUMBER, BYTES) else 0
        place = file.tell() + {EIGHT_BYTES: 8, FOUR_BYTES: 4, BYTES: number}.get(wire, 0)
        if place > end:
            raise ValueError("not a whole ONNX file: it ends before its parts do")
        yield field, wire, place if wire == BYTES else number
        file.seek(place)


def _varint(file: BinaryIO) -> int:
    number = 0
    for place in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            break
        number |= (byte[0] & 0x7F) << place
        if byte[0] < 0x80:
            return number
    raise ValueError("not a whole ONNX file: a number has no end")


def _read(file: BinaryIO, end: int) -> bytes:
    length = end - file.tell()
    if length > LONGEST_DESCRIPTION:
        raise ValueError("a part of the ONNX file that should be short is not")
    return file.read(length)
