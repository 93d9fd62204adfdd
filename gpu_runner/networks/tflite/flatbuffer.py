"""Reads tables of a FlatBuffers file: https://flatbuffers.dev/internals/. Nothing is executed or written.

Offsets are unsigned and lead forward, so that a malformed file cannot lead to a cycle. A read beyond the end raises
struct.error.
"""

from __future__ import annotations

import struct
from typing import Any

VTABLE_HEADER = 4  # bytes before the first field's offset


class Table:
    """A table at a position of the buffer. Fields are numbered as in the schema, in the order of their declaration."""

    def __init__(self, data: memoryview, position: int) -> None:
        self._data = data
        self._position = position

    @classmethod
    def root(cls, data: bytes) -> Table:
        view = memoryview(data)
        return cls(view, _value(view, "I", 0))

    def number(self, field: int, code: str, default: Any = 0) -> Any:
        """The number with this code of the module struct."""
        place = self._place(field)
        return _value(self._data, code, place) if place else default

    def table(self, field: int) -> Table | None:
        place = self._place(field)
        return Table(self._data, self._target(place)) if place else None

    def tables(self, field: int) -> list[Table]:
        start, count = self._vector(field)
        return [Table(self._data, self._target(start + 4 * index)) for index in range(count)]

    def numbers(self, field: int, code: str) -> list[Any]:
        start, count = self._vector(field)
        return list(struct.unpack_from(f"<{count}{code}", self._data, start)) if count else []

    def content(self, field: int) -> memoryview:
        """The bytes of a vector."""
        start, count = self._vector(field)
        if start + count > len(self._data):
            raise struct.error("vector beyond the end of the file")
        return self._data[start : start + count]

    def _place(self, field: int) -> int:
        """Position of the field's value; 0 if the table does not have the field."""
        vtable = self._position - _value(self._data, "i", self._position)
        if VTABLE_HEADER + 2 * field >= _value(self._data, "H", vtable):
            return 0
        offset = _value(self._data, "H", vtable + VTABLE_HEADER + 2 * field)
        return self._position + offset if offset else 0

    def _vector(self, field: int) -> tuple[int, int]:
        """Position of the first element, and their number."""
        place = self._place(field)
        if not place:
            return 0, 0
        start = self._target(place)
        return start + 4, _value(self._data, "I", start)

    def _target(self, place: int) -> int:
        return place + int(_value(self._data, "I", place))


def _value(data: memoryview, code: str, place: int) -> Any:
    if place < 0:
        raise struct.error("position before the begin of the file")
    return struct.unpack_from(f"<{code}", data, place)[0]
