"""Upscaler models from files."""

from __future__ import annotations

from typing import Any

import torch

from gpu_runner.networks.loaded import LoadedUpscaler
from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol.errors import ModelUnavailable

from .spandrel import described, size_of

LARGEST_SCALE = 8


def load_upscaler(
    file: TensorFile, name: str, key: str, device: torch.device, dtype: torch.dtype
) -> LoadedUpscaler:
    descriptor = described(file, name, "an upscaler")
    _must_enlarge_colours(descriptor, name)
    half = dtype == torch.float16 and descriptor.supports_half
    descriptor.to(device, torch.float16 if half else torch.float32).eval()
    descriptor.model.requires_grad_(False)
    return LoadedUpscaler(key, descriptor.scale, descriptor, size_of(descriptor.model))


def _must_enlarge_colours(descriptor: Any, name: str) -> None:
    channels = (descriptor.input_channels, descriptor.output_channels)
    if channels != (3, 3) or not 1 <= descriptor.scale <= LARGEST_SCALE:
        raise ModelUnavailable(f"{name} does not make colour pictures out of colour pictures")
    if descriptor.purpose not in ("SR", "Restoration"):
        raise ModelUnavailable(f"{name} is no upscaler: its purpose is {descriptor.purpose}")
