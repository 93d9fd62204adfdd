"""TensorFlow Lite files, written with the FlatBuffers library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flatbuffers
import numpy as np

TYPES = {np.dtype(np.float32): 0, np.dtype(np.float16): 1, np.dtype(np.int32): 2}
Writer = Callable[[flatbuffers.Builder], int]


def table(builder: flatbuffers.Builder, fields: dict[int, tuple[str, Any]]) -> int:
    """A table of {number of the field: (kind, value)}; kind "offset" for tables and vectors, else as in the library."""
    builder.StartObject(max(fields, default=0) + 1)
    for number, (kind, value) in fields.items():
        if kind == "offset":
            builder.PrependUOffsetTRelativeSlot(number, value, 0)
        else:
            getattr(builder, f"Prepend{kind}Slot")(number, value, None)
    return builder.EndObject()


def offsets(builder: flatbuffers.Builder, values: Sequence[int]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependUOffsetTRelative(value)
    return builder.EndVector()


def ints(builder: flatbuffers.Builder, values: Sequence[int]) -> int:
    return builder.CreateNumpyVector(np.array(values, np.int32))


def sparse(builder: flatbuffers.Builder, shape: Sequence[int], ends: list[int], columns: list[int]) -> int:
    """Sparsity parameters of a tensor whose last dimension is in the compressed sparse row format, with bytes."""
    vectors = [
        table(builder, {0: ("offset", builder.CreateNumpyVector(np.array(values, np.uint8)))})
        for values in (ends, columns)
    ]
    dimensions = [table(builder, {0: ("Int8", 0), 1: ("Int32", size)}) for size in shape[:-1]]
    last = {0: ("Int8", 1), 2: ("Uint8", 3), 3: ("offset", vectors[0])}
    dimensions.append(table(builder, last | {4: ("Uint8", 3), 5: ("offset", vectors[1])}))
    fields = {0: ("offset", ints(builder, range(len(shape)))), 2: ("offset", offsets(builder, dimensions))}
    return table(builder, fields)


def tflite(
    tensors: Sequence[tuple[str, Sequence[int], Any, tuple[list[int], list[int]] | None]],
    operators: Sequence[tuple[int, Sequence[int], Sequence[int], dict[int, tuple[str, Any]] | None]],
    inputs: Sequence[int],
    outputs: Sequence[int],
) -> bytes:
    """A file with one graph.

    ``tensors``: name, shape, array of constants or None, and (ends, columns) of sparse constants or None.
    ``operators``: number in the schema, inputs, outputs, fields of the options or None.
    """
    builder = flatbuffers.Builder(1024)
    contents = [None if array is None else np.ascontiguousarray(array) for _n, _s, array, _sparse in tensors]
    buffers = [
        table(builder, {})
        if array is None
        else table(builder, {0: ("offset", builder.CreateByteVector(array.tobytes()))})
        for array in contents
    ]
    written = []
    for number, (name, shape, _array, layout) in enumerate(tensors):
        array = contents[number]
        fields = {
            0: ("offset", ints(builder, shape)),
            1: ("Int8", 0 if array is None else TYPES[array.dtype]),
            2: ("Uint32", number),
            3: ("offset", builder.CreateString(name)),
        }
        if layout is not None:
            fields[6] = ("offset", sparse(builder, shape, *layout))
        written.append(table(builder, fields))
    codes, steps = [], []
    for number, (code, before, after, options) in enumerate(operators):
        codes.append(table(builder, {0: ("Int8", min(code, 127)), 3: ("Int32", code)}))
        fields = {
            0: ("Uint32", number),
            1: ("offset", ints(builder, before)),
            2: ("offset", ints(builder, after)),
        }
        if options is not None:
            fields[4] = ("offset", table(builder, options))
        steps.append(table(builder, fields))
    graph = table(
        builder,
        {
            0: ("offset", offsets(builder, written)),
            1: ("offset", ints(builder, inputs)),
            2: ("offset", ints(builder, outputs)),
            3: ("offset", offsets(builder, steps)),
        },
    )
    model = table(
        builder,
        {
            0: ("Uint32", 3),
            1: ("offset", offsets(builder, codes)),
            2: ("offset", offsets(builder, [graph])),
            4: ("offset", offsets(builder, buffers)),
        },
    )
    builder.Finish(model, b"TFL3")
    return bytes(builder.Output())
