"""Graph of a TensorFlow Lite file: operators with their options, and constant tensors as arrays.

The numbers are those of the schema: https://github.com/tensorflow/tensorflow/blob/v2.15.0/tensorflow/lite/schema/schema.fbs
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .flatbuffer import Table

Array = NDArray[Any]
DTYPES = {0: np.float32, 1: np.float16, 2: np.int32}
INDEX_CODES = {1: "i", 2: "H", 3: "B"}  # of the index vectors of sparse tensors
ACTIVATIONS = {0: "", 1: "relu", 3: "relu6"}
SAME = 0  # padding
MAX_VALUES = 100_000_000  # of an expanded tensor
SPARSE = 1  # format of a dimension: the positions of its values are listed


@dataclass(frozen=True)
class Operator:
    """An operator with the numbers of its input and output tensors. An input of -1 is absent."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """Operators in the order of execution."""

    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: Mapping[str, int]  # by the names of the tensors
    constants: Mapping[int, Array]  # tensors with data in the file
    shapes: Mapping[int, tuple[int, ...]]


def read_graph(data: bytes) -> Graph:
    """Read the graph of a file. Raises ValueError for a malformed file, and for an operator that is not supported."""
    try:
        return _read(Table.root(data))
    except (struct.error, IndexError, KeyError, OverflowError, TypeError) as error:
        raise ValueError(f"malformed or unsupported TensorFlow Lite file ({error!r})") from error


def _read(model: Table) -> Graph:
    codes = [_code(code) for code in model.tables(1)]
    buffers = model.tables(4)
    [graph] = model.tables(2)
    tensors = graph.tables(0)
    constants = {}
    for number, tensor in enumerate(tensors):
        if len(content := buffers[tensor.number(2, "I")].content(0)):
            constants[number] = _constant(tensor, content)
    return Graph(
        tuple(_operator(operator, codes) for operator in graph.tables(3)),
        tuple(graph.numbers(1, "i")),
        {bytes(tensors[number].content(3)).decode(): number for number in graph.numbers(2, "i")},
        constants,
        {number: tuple(tensor.numbers(0, "i")) for number, tensor in enumerate(tensors)},
    )


def _code(operator_code: Table) -> int:
    """Number of the operator; old files have it in the first field, which holds one byte."""
    return max(int(operator_code.number(0, "b")), int(operator_code.number(3, "i")))


def _operator(operator: Table, codes: list[int]) -> Operator:
    name, read = OPERATORS[codes[operator.number(0, "I")]]
    options = operator.table(4)
    return Operator(
        name,
        tuple(operator.numbers(1, "i")),
        tuple(operator.numbers(2, "i")),
        read(options) if options and read else {},
    )


def _constant(tensor: Table, content: memoryview) -> Array:
    values = np.frombuffer(content, DTYPES[tensor.number(1, "b")])
    shape, sparsity = tensor.numbers(0, "i"), tensor.table(6)
    return values.reshape(shape) if sparsity is None else _dense(values, shape, sparsity)


def _dense(values: Array, shape: list[int], sparsity: Table) -> Array:
    """Expand a tensor whose last dimension is sparse, in the compressed sparse row format."""
    dimensions = sparsity.tables(2)
    formats = [dimension.number(0, "b") for dimension in dimensions]
    if sparsity.numbers(0, "i") != list(range(len(shape))) or formats != [0] * (len(shape) - 1) + [SPARSE]:
        raise ValueError("unsupported layout of a sparse tensor")
    if not 0 < prod(shape) <= MAX_VALUES:
        raise ValueError("unsupported size of a sparse tensor")
    ends, columns = (_indices(dimensions[-1], first) for first in (2, 4))
    dense = np.zeros((prod(shape[:-1]), shape[-1]), values.dtype)
    rows = np.repeat(np.arange(len(dense)), np.diff(ends))
    dense[rows, columns] = values
    return dense.reshape(shape)


def _indices(dimension: Table, first: int) -> list[int]:
    """Vector of the union whose type is the field ``first``."""
    vector = dimension.table(first + 1)
    return vector.numbers(0, INDEX_CODES[dimension.number(first, "b")]) if vector else []


def _convolution(options: Table) -> dict[str, Any]:
    if (options.number(4, "i", 1), options.number(5, "i", 1)) != (1, 1):
        raise ValueError("dilated convolutions are not supported")
    stride = options.number(2, "i"), options.number(1, "i")
    return {"same": options.number(0, "b") == SAME, "stride": stride, "activation": _activation(options, 3)}


def _depthwise(options: Table) -> dict[str, Any]:
    if (options.number(5, "i", 1), options.number(6, "i", 1)) != (1, 1):
        raise ValueError("dilated convolutions are not supported")
    stride = options.number(2, "i"), options.number(1, "i")
    return {"same": options.number(0, "b") == SAME, "stride": stride, "activation": _activation(options, 4)}


def _pool(options: Table) -> dict[str, Any]:
    stride, size = (
        (options.number(2, "i"), options.number(1, "i")),
        (options.number(4, "i"), options.number(3, "i")),
    )
    return {
        "same": options.number(0, "b") == SAME,
        "stride": stride,
        "size": size,
        "activation": _activation(options, 5),
    }


def _resize(options: Table) -> dict[str, Any]:
    if options.number(2, "b") or not options.number(3, "b"):
        raise ValueError("resizing is supported with half-pixel centers only")
    return {}


def _activation(options: Table, number: int) -> str:
    return ACTIVATIONS[options.number(number, "b")]


OPERATORS: dict[int, tuple[str, Callable[[Table], dict[str, Any]] | None]] = {
    0: ("add", lambda options: {"activation": _activation(options, 0)}),
    2: ("concatenate", lambda options: {"axis": options.number(0, "i")}),
    3: ("convolution", _convolution),
    4: ("depthwise_convolution", _depthwise),
    5: ("depth_to_space", lambda options: {"block": options.number(0, "i")}),
    6: ("convert", None),
    9: ("fully_connected", lambda options: {"activation": _activation(options, 0)}),
    14: ("sigmoid", None),
    17: ("max_pool", _pool),
    19: ("relu", None),
    22: ("reshape", None),
    23: ("resize", _resize),
    34: ("pad", None),
    40: ("mean", lambda options: {"keep": bool(options.number(0, "b"))}),
    54: ("prelu", None),
    124: ("convert", None),  # of a sparse tensor; constants are expanded when they are read
}
