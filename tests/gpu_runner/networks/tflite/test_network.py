"""Operators of TensorFlow Lite in torch, checked against their definitions."""

import numpy as np
import pytest
import torch

from gpu_runner.networks.tflite.graph import Graph, Operator
from gpu_runner.networks.tflite.network import TfliteNetwork

RANDOM = np.random.default_rng(3)


def run(name, image, *constants, shape=(), **options):
    """Output of one operator for an image and constants."""
    numbers = tuple(range(1, len(constants) + 1))
    graph = Graph(
        (Operator(name, (0, *numbers), (9,), options),),
        (0,),
        {"out": 9},
        {number: np.asarray(value) for number, value in zip(numbers, constants, strict=True)},
        {9: shape},
    )
    return TfliteNetwork(graph)(torch.as_tensor(image, dtype=torch.float32))["out"].numpy()


def numbers(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def convolved(image, weight, stride):
    """TensorFlow's definition for padding "same": an odd row or column is added at the end."""
    rows, columns = (-(-side // stride) for side in image.shape[1:3])
    height, width = weight.shape[1:3]
    above = max(0, (rows - 1) * stride + height - image.shape[1]) // 2
    left = max(0, (columns - 1) * stride + width - image.shape[2]) // 2
    padded = np.pad(image[0], ((above, height), (left, width), (0, 0)))
    patches = [
        [padded[stride * y : stride * y + height, stride * x : stride * x + width] for x in range(columns)]
        for y in range(rows)
    ]
    return np.array(patches)


@pytest.mark.parametrize(
    ("size", "kernel", "stride"), [(6, 3, 1), (6, 3, 2), (7, 3, 2), (8, 2, 2), (5, 5, 2)]
)
def test_convolution_pads_as_tensorflow(size, kernel, stride):
    image, weight, bias = numbers(1, size, size, 3), numbers(4, kernel, kernel, 3), numbers(4)
    patches = convolved(image, weight, stride)
    expected = np.einsum("yxhwc,ohwc->yxo", patches, weight) + bias
    out = run("convolution", image, weight, bias, same=True, stride=(stride, stride))
    assert np.allclose(out[0], expected, atol=1e-4)


@pytest.mark.parametrize(("size", "stride"), [(6, 1), (6, 2), (7, 2)])
def test_depthwise_convolution_has_a_kernel_per_channel(size, stride):
    image, weight, bias = numbers(1, size, size, 3), numbers(1, 3, 3, 3), numbers(3)
    expected = np.einsum("yxhwc,hwc->yxc", convolved(image, weight, stride), weight[0]) + bias
    out = run("depthwise_convolution", image, weight, bias, same=True, stride=(stride, stride))
    assert np.allclose(out[0], expected, atol=1e-4)


def test_depth_to_space_has_the_order_of_tensorflow():
    image = np.arange(1 * 1 * 2 * 8).reshape(1, 1, 2, 8)
    assert run("depth_to_space", image, block=2)[0].tolist() == [
        [[0, 1], [2, 3], [8, 9], [10, 11]],
        [[4, 5], [6, 7], [12, 13], [14, 15]],
    ]


def test_maximum_of_a_padded_window_ignores_the_padding():
    image = np.full((1, 3, 3, 1), -5.0)
    assert run("max_pool", image, same=True, stride=(2, 2), size=(2, 2)).max() == -5


def test_resize_uses_half_pixel_centers():
    image = np.array([0.0, 4.0]).reshape(1, 1, 2, 1)
    assert run("resize", image, np.array([1, 4], np.int32)).ravel().tolist() == [0, 1, 3, 4]


def test_pad_adds_before_and_after_each_dimension():
    sides = np.array([[0, 0], [1, 0], [0, 2], [0, 1]], np.int32)
    out = run("pad", np.ones((1, 1, 1, 1)), sides)
    assert out.shape == (1, 2, 3, 2)
    assert out[0, 1, 0, 0] == 1
    assert out.sum() == 1


def test_prelu_scales_negative_values():
    image = np.array([-2.0, 3.0]).reshape(1, 1, 1, 2)
    assert run("prelu", image, np.full((1, 1, 2), 0.5, np.float32)).ravel().tolist() == [-1, 3]


def test_mean_reshape_and_fully_connected():
    image = np.arange(8.0).reshape(1, 2, 2, 2)
    axes = np.array([1, 2], np.int32)
    assert run("mean", image, axes, keep=True).tolist() == [[[[3, 4]]]]
    assert run("mean", image, axes, keep=False).tolist() == [[3, 4]]
    assert run("reshape", image, shape=(1, 8)).shape == (1, 8)
    weight = np.array([[1, 2]], np.float32)
    assert run("fully_connected", [[3.0, 4.0]], weight, np.ones(1, np.float32)).tolist() == [[12]]


@pytest.mark.parametrize(("activation", "expected"), [("", [-1, 9]), ("relu", [0, 9]), ("relu6", [0, 6])])
def test_fused_activation(activation, expected):
    assert run("add", [-1.0, 9.0], np.zeros(2, np.float32), activation=activation).tolist() == expected
