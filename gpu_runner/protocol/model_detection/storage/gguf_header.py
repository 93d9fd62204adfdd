"""Reader of GGUF headers: tensors with their places in the file, and short metadata. The file is untrusted input.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Versions 2 and 3, little-endian. No torch.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from .gguf_names import visible_names
from .gguf_types import OTHER_TYPES, TYPES, GgufType
from .tensor_header import Shape, TensorHeader, check_number

GGUF_SUFFIX = ".gguf"
MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_ENTRIES = 10_000  # of the metadata
MAX_TEXT = 2**20  # bytes of a name or text; longer texts, such as templates, are skipped
MAX_KEPT = 4096
MAX_DIMENSIONS = 8
MAX_NUMBERS = 2**40  # of a tensor
STRING, ARRAY = 8, 9
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
ORIGINAL_SHAPE = "comfy.gguf.orig_shape."  # shape of a tensor that was flattened for its blocks
ALIGNMENT = "general.alignment"
CUT_OFF = "the file is cut off: it ends before its tensors do"


@dataclass(frozen=True)
class GgufTensor:
    """``start`` and ``size`` are bytes in the file."""

    shape: Shape
    type: GgufType
    start: int
    size: int


@dataclass(frozen=True)
class GgufFile:
    """``tensors`` have the names of ``header.shapes``."""

    header: TensorHeader
    tensors: Mapping[str, GgufTensor]


def read_gguf_header(path: Path) -> GgufFile:
    """Read the header. Raises ValueError for invalid and incomplete files, and OSError."""
    with path.open("rb") as stream:
        reader = _Reader(stream, path.stat().st_size)
        if reader.bytes(4) != MAGIC:
            raise ValueError("not a GGUF file")
        version = reader.number("I")
        if version not in VERSIONS:
            raise ValueError(f"GGUF must be of version 2 or 3, little-endian (got {version})")
        tensors, entries = reader.number("Q"), reader.number("Q")
        check_number(tensors)
        if entries > MAX_ENTRIES:
            raise ValueError(f"a GGUF file may have at most {MAX_ENTRIES} metadata entries (got {entries})")
        metadata = dict(reader.entry() for _ in range(entries))
        infos = [_Info.read(reader) for _ in range(tensors)]
        start = _aligned(stream.tell(), metadata)
    return _file(infos, metadata, start, reader.size)


def _aligned(position: int, metadata: Mapping[str, Any]) -> int:
    alignment = metadata.get(ALIGNMENT, 32)
    if not isinstance(alignment, int) or not 0 < alignment <= 2**20 or alignment & (alignment - 1):
        raise ValueError(f"{ALIGNMENT} must be a power of two")
    return -(-position // alignment) * alignment


@dataclass(frozen=True)
class _Info:
    name: str
    shape: Shape
    type: int
    offset: int

    @classmethod
    def read(cls, reader: _Reader) -> _Info:
        name = reader.text()
        dimensions = reader.number("I")
        if dimensions > MAX_DIMENSIONS:
            raise ValueError(f"a tensor may have at most {MAX_DIMENSIONS} dimensions (got {dimensions})")
        # The innermost dimension comes first.
        shape = tuple(reversed([reader.number("Q") for _ in range(dimensions)]))
        return cls(name, shape, reader.number("I"), reader.number("Q"))


def _file(infos: list[_Info], metadata: Mapping[str, Any], start: int, size: int) -> GgufFile:
    problem = ""
    stored: dict[str, GgufTensor] = {}
    for info in infos:
        if info.name in stored:
            raise ValueError(f"two tensors are named {info.name[:80]}")
        kind = TYPES.get(info.type)
        if kind is None:
            name = OTHER_TYPES.get(info.type, f"type {info.type}")
            problem = f"its weights are quantized to {name} ({info.name[:80]}), which is not supported"
            kind = GgufType(name, 1, 0)
        stored[info.name] = _tensor(info, kind, metadata, start, size)
    names = visible_names(stored)
    tensors = {visible: stored[name] for visible, name in names.items()}
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    kept = {key: str(value) for key, value in metadata.items() if not isinstance(value, tuple)}
    return GgufFile(TensorHeader(shapes, kept, problem), tensors)


def _tensor(info: _Info, kind: GgufType, metadata: Mapping[str, Any], start: int, size: int) -> GgufTensor:
    numbers = prod(info.shape)
    if numbers > MAX_NUMBERS:
        raise ValueError(f"{info.name[:80]} has too many numbers")
    if info.shape and info.shape[-1] % kind.block:
        raise ValueError(f"the rows of {info.name[:80]} must consist of blocks of {kind.block}")
    length = numbers // kind.block * kind.size
    if start + info.offset + length > size:
        raise ValueError(CUT_OFF)
    original = metadata.get(f"{ORIGINAL_SHAPE}{info.name}")
    shape = original if isinstance(original, tuple) and prod(original) == numbers else info.shape
    return GgufTensor(shape, kind, start + info.offset, length)


class _Reader:
    """Reads values one after another, and never more than the file has."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self.size = size

    def bytes(self, count: int) -> bytes:
        if count > MAX_TEXT:
            raise ValueError(f"a text of a GGUF header may have at most {MAX_TEXT} bytes (got {count})")
        data = self._stream.read(count)
        if len(data) != count:
            raise ValueError(CUT_OFF)
        return data

    def skip(self, count: int) -> None:
        if self._stream.tell() + count > self.size:
            raise ValueError(CUT_OFF)
        self._stream.seek(count, 1)

    def number(self, code: str) -> Any:
        return struct.unpack(f"<{code}", self.bytes(struct.calcsize(f"<{code}")))[0]

    def text(self) -> str:
        return self.bytes(self.number("Q")).decode(errors="replace")

    def entry(self) -> tuple[str, Any]:
        """Key and value; the value is None if it is long or of no use."""
        key, kind = self.text(), self.number("I")
        return key, self._value(kind, keep_array=key.startswith(ORIGINAL_SHAPE))

    def _value(self, kind: int, *, keep_array: bool) -> Any:
        if kind in SCALARS:
            return self.number(SCALARS[kind])
        if kind == STRING:
            length = self.number("Q")
            if length > MAX_KEPT:
                self.skip(length)
                return None
            return self.bytes(length).decode(errors="replace")
        if kind == ARRAY:
            return self._array(keep=keep_array)
        raise ValueError(f"unknown type of a metadata value ({kind})")

    def _array(self, *, keep: bool) -> tuple[int, ...] | None:
        kind, count = self.number("I"), self.number("Q")
        if kind == STRING:
            # Each text has at least the eight bytes of its length.
            if count * 8 > self.size:
                raise ValueError(CUT_OFF)
            for _ in range(count):
                self.skip(self.number("Q"))
            return None
        if kind not in SCALARS:
            raise ValueError(f"unknown type of a metadata array ({kind})")
        code = SCALARS[kind]
        if keep and count <= MAX_DIMENSIONS and code in "IiQq":
            return tuple(self.number(code) for _ in range(count))
        self.skip(count * struct.calcsize(f"<{code}"))
        return None
