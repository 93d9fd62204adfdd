"""Small ONNX files for tests, encoded without a protobuf library."""

from __future__ import annotations

import struct
from collections.abc import Sequence


def varint(number: int) -> bytes:
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])


def message(field: int, content: bytes | str) -> bytes:
    data = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(data)) + data


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def value(name: str, sides: Sequence[int | str]) -> bytes:
    """Return a ValueInfoProto of floats. A dimension that is a string is dynamic."""
    shape = b"".join(
        message(1, number(1, side) if isinstance(side, int) else message(2, side)) for side in sides
    )
    return message(1, name) + message(2, message(1, number(1, 1) + message(2, shape)))


def sigmoid_of_the_first_channel(side: int, output: str = "matte") -> bytes:
    """Return a runnable model: a convolution that selects the first channel, and a sigmoid."""
    weights = b"".join(number(1, size) for size in (1, 3, 1, 1)) + number(2, 1) + message(8, "weights")
    weights += message(9, b"\0\0\x80?" + b"\0" * 8)  # 1.0, 0.0, 0.0
    conv = message(1, "image") + message(1, "weights") + message(2, "inner") + message(4, "Conv")
    end = message(1, "inner") + message(2, output) + message(4, "Sigmoid")
    return model(
        inputs={"image": (1, 3, side, side)},
        outputs={output: (1, 1, side, side)},
        graph=message(1, conv) + message(1, end) + message(5, weights),
    )


def tagger_of_mean_colors(side: int = 448) -> bytes:
    """Return a runnable tagger with three tags, whose scores are the means of its input's channels, divided by 255."""
    divisor = number(2, 1) + message(8, "divisor") + message(9, b"\0\0\x7fC")  # a float: 255.0
    axes = message(1, "axes") + number(8, 1) + number(8, 2) + number(20, 7)
    keep = message(1, "keepdims") + number(3, 0) + number(20, 2)
    mean = (
        message(1, "input")
        + message(2, "mean")
        + message(4, "ReduceMean")
        + message(5, axes)
        + message(5, keep)
    )
    share = message(1, "mean") + message(1, "divisor") + message(2, "output") + message(4, "Div")
    return model(
        inputs={"input": ("batch", side, side, 3)},
        outputs={"output": ("batch", 3)},
        graph=message(1, mean) + message(1, share) + message(5, divisor),
    )


def tag_table(*rows: tuple[str, int]) -> str:
    """Return a tag table with names and categories."""
    lines = [f'{index},"{name}",{category},1' for index, (name, category) in enumerate(rows)]
    return "\n".join(["tag_id,name,category,count", *lines, ""])


def model(
    inputs: dict[str, Sequence[int | str]],
    outputs: dict[str, Sequence[int | str]],
    graph: bytes = b"",
    **metadata: str,
) -> bytes:
    """Return a ModelProto with these inputs, outputs and metadata."""
    graph += message(2, "graph")
    graph += b"".join(message(11, value(name, sides)) for name, sides in inputs.items())
    graph += b"".join(message(12, value(name, sides)) for name, sides in outputs.items())
    entries = (message(14, message(1, key) + message(2, text)) for key, text in metadata.items())
    opset = message(8, number(2, 13))
    return number(1, 7) + message(7, graph) + opset + b"".join(entries)


def bright_regions() -> bytes:
    """Return a runnable model with the graph's ends of PP-OCR's text detector, which takes bright pixels for letters.

    Its input are pixels from -1 to 1. A convolution sums the channels; the sigmoid is above 0.5 where they are near 1.
    """
    weights = b"".join(number(1, size) for size in (1, 3, 1, 1)) + number(2, 1) + message(8, "weights")
    weights += message(9, struct.pack("<3f", 10, 10, 10))
    bias = number(1, 1) + number(2, 1) + message(8, "bias") + message(9, struct.pack("<f", -27))
    conv = b"".join(message(1, name) for name in ("x", "weights", "bias"))
    conv += message(2, "inner") + message(4, "Conv")
    end = message(1, "inner") + message(2, "sigmoid_0.tmp_0") + message(4, "Sigmoid")
    return model(
        inputs={"x": ("n", 3, "h", "w")},
        outputs={"sigmoid_0.tmp_0": ("n", 1, "h", "w")},
        graph=message(1, conv) + message(1, end) + message(5, weights) + message(5, bias),
    )
