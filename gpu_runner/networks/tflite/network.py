"""Executes the graph of a TensorFlow Lite file with torch. Tensors have the channels last, as in the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .graph import Graph, Operator

Values = dict[int, Tensor]


class TfliteNetwork(nn.Module):
    """A network of one input. Constants are buffers in float32, and follow the module to another device."""

    def __init__(self, graph: Graph) -> None:
        """Raises ValueError if an operator has inputs that nothing computes."""
        super().__init__()
        [self._input] = graph.inputs
        self._outputs = graph.outputs
        self._shapes = graph.shapes
        self._constants: dict[int, str] = {}
        for number, array in graph.constants.items():
            self._keep(number, torch.from_numpy(array.copy()))
        self._steps = []
        known = {self._input, -1}
        for step in graph.operators:
            if step.name == "convert" and step.inputs[0] in self._constants:
                self._constants[step.outputs[0]] = self._constants[step.inputs[0]]
                continue
            if not set(step.inputs) <= known | set(self._constants):
                raise ValueError(f"an input of {step.name} is not computed")
            known |= set(step.outputs)
            self._steps.append(step)
        if not set(graph.outputs.values()) <= known:
            raise ValueError("an output is not computed")

    def _keep(self, number: int, value: Tensor) -> None:
        name = f"constant_{number}"
        self.register_buffer(name, value.float() if value.is_floating_point() else value)
        self._constants[number] = name

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Outputs by their names, for ``image`` of the shape (1, height, width, channels)."""
        values: Values = {number: getattr(self, name) for number, name in self._constants.items()}
        values[self._input] = image
        for step in self._steps:
            inputs = [values[number] for number in step.inputs if number >= 0]
            output = RUN[step.name](step, inputs, self._shapes.get(step.outputs[0], ()))
            values[step.outputs[0]] = _activated(output, step.options.get("activation", ""))
        return {name: values[number] for name, number in self._outputs.items()}


def _activated(value: Tensor, activation: str) -> Tensor:
    match activation:
        case "relu":
            return functional.relu(value)
        case "relu6":
            return functional.relu6(value)
    return value


def _planes(value: Tensor) -> Tensor:
    """Channels first, without copying."""
    return value.permute(0, 3, 1, 2)


def _pixels(value: Tensor) -> Tensor:
    """Channels last, without copying."""
    return value.permute(0, 2, 3, 1)


def _padded(planes: Tensor, size: tuple[int, int], options: Mapping[str, Any], fill: float = 0.0) -> Tensor:
    """Pad as TensorFlow does for "same": an odd pixel is added at the end."""
    if not options["same"]:
        return planes
    sides: list[int] = []
    for length, window, stride in zip(planes.shape[-2:], size, options["stride"], strict=True):
        total = max(0, (-(-length // stride) - 1) * stride + window - length)
        sides = [total // 2, total - total // 2, *sides]  # functional.pad begins with the last dimension
    return functional.pad(planes, sides, value=fill) if any(sides) else planes


def _convolution(step: Operator, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    image, weight, bias = inputs
    planes = _padded(_planes(image), (weight.shape[1], weight.shape[2]), step.options)
    output = functional.conv2d(planes, _planes(weight), bias, stride=step.options["stride"])
    return _pixels(output)


def _depthwise(step: Operator, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    image, weight, bias = inputs
    planes = _padded(_planes(image), (weight.shape[1], weight.shape[2]), step.options)
    kernel = weight.permute(3, 0, 1, 2)
    output = functional.conv2d(planes, kernel, bias, stride=step.options["stride"], groups=image.shape[-1])
    return _pixels(output)


def _max_pool(step: Operator, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    size = step.options["size"]
    planes = _padded(_planes(inputs[0]), size, step.options, float("-inf"))
    return _pixels(functional.max_pool2d(planes, size, step.options["stride"]))


def _depth_to_space(step: Operator, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """TensorFlow's order: the block's rows and columns are the slowest part of the channels, in torch the fastest."""
    count, height, width, depth = inputs[0].shape
    block = step.options["block"]
    parts = inputs[0].reshape(count, height, width, block, block, depth // block**2)
    return parts.permute(0, 1, 3, 2, 4, 5).reshape(count, height * block, width * block, -1)


def _resize(step: Operator, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    image, size = inputs
    height, width = (int(side) for side in size)
    return _pixels(functional.interpolate(_planes(image), (height, width), mode="bilinear"))


def _pad(step: Operator, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    image, sides = inputs
    return functional.pad(image, [int(side) for pair in reversed(sides.tolist()) for side in pair])


def _prelu(step: Operator, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    image, slope = inputs
    return torch.where(image < 0, image * slope, image)


def _mean(step: Operator, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    image, axes = inputs
    return image.mean(axes.flatten().tolist(), keepdim=step.options["keep"])


RUN = {
    "add": lambda step, inputs, shape: inputs[0] + inputs[1],
    "concatenate": lambda step, inputs, shape: torch.cat(inputs, step.options["axis"]),
    "convolution": _convolution,
    "depthwise_convolution": _depthwise,
    "depth_to_space": _depth_to_space,
    "convert": lambda step, inputs, shape: inputs[0].float(),
    "fully_connected": lambda step, inputs, shape: functional.linear(*inputs),
    "sigmoid": lambda step, inputs, shape: torch.sigmoid(inputs[0]),
    "max_pool": _max_pool,
    "relu": lambda step, inputs, shape: functional.relu(inputs[0]),
    "reshape": lambda step, inputs, shape: inputs[0].reshape(shape),
    "resize": _resize,
    "pad": _pad,
    "mean": _mean,
    "prelu": _prelu,
}
