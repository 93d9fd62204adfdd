"""Reading of TensorFlow Lite files."""

import contextlib
import random

import numpy as np
import pytest
import torch

from gpu_runner.networks.tflite.graph import read_graph
from gpu_runner.networks.tflite.network import TfliteNetwork
from tests.support.tflite_files import tflite

IMAGE = ("image", (1, 2, 2, 4), None, None)
HALF = np.array([1, 2, 3], np.float16)


def small() -> bytes:
    """out = relu6(image + sparse constant in float16)."""
    return tflite(
        [
            IMAGE,
            ("sparse", (2, 4), HALF, ([0, 1, 3], [2, 0, 3])),
            ("dense", (2, 4), None, None),
            ("converted", (2, 4), None, None),
            ("out", (1, 2, 2, 4), None, None),
        ],
        [
            (124, [1], [2], None),
            (6, [2], [3], None),
            (0, [0, 3], [4], {0: ("Int8", 3)}),
        ],
        [0],
        [4],
    )


def test_graph_has_operators_constants_and_names():
    graph = read_graph(small())
    assert [step.name for step in graph.operators] == ["convert", "convert", "add"]
    assert graph.operators[2].options == {"activation": "relu6"}
    assert graph.outputs == {"out": 4}
    assert graph.shapes[4] == (1, 2, 2, 4)
    assert graph.constants.keys() == {1}


def test_sparse_constants_are_expanded():
    expected = [[0, 0, 1, 0], [2, 0, 0, 3]]
    assert read_graph(small()).constants[1].tolist() == expected


def test_sparse_constants_act_in_the_network():
    out = TfliteNetwork(read_graph(small()))(torch.full((1, 2, 2, 4), 4.5))["out"]
    assert out[0, 0].tolist() == [[4.5, 4.5, 5.5, 4.5], [6, 4.5, 4.5, 6]]


def test_unknown_operator_is_refused():
    data = tflite([IMAGE, ("out", (1,), None, None)], [(32, [0], [1], None)], [0], [1])
    with pytest.raises(ValueError, match="unsupported TensorFlow Lite file"):
        read_graph(data)


@pytest.mark.parametrize(
    ("code", "options"),
    [
        (3, {4: ("Int32", 2)}),
        (4, {6: ("Int32", 2)}),
        (23, {2: ("Bool", True), 3: ("Bool", True)}),
        (23, {3: ("Bool", False)}),
    ],
)
def test_unsupported_option_is_refused(code, options):
    data = tflite([IMAGE, ("out", (1,), None, None)], [(code, [0], [1], options)], [0], [1])
    with pytest.raises(ValueError, match="supported"):
        read_graph(data)


def test_computation_without_its_input_is_refused():
    data = tflite(
        [IMAGE, ("x", (1,), None, None), ("out", (1,), None, None)], [(0, [0, 1], [2], None)], [0], [2]
    )
    with pytest.raises(ValueError, match="not computed"):
        TfliteNetwork(read_graph(data))


@pytest.mark.parametrize("length", [0, 3, 8, 40, 200])
def test_cut_file_is_refused(length):
    with pytest.raises(ValueError, match="malformed"):
        read_graph(small()[:length])


def test_damaged_files_raise_nothing_but_value_error():
    random_numbers = random.Random(1)
    for _attempt in range(500):
        data = bytearray(small())
        for _byte in range(random_numbers.randrange(1, 6)):
            data[random_numbers.randrange(len(data))] = random_numbers.randrange(256)
        with contextlib.suppress(ValueError):
            read_graph(bytes(data))
