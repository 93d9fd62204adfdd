"""Loads upscaler models through spandrel."""

from __future__ import annotations

from typing import Any

import torch

from gpu_runner.networks.loaded import LoadedUpscaler
from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol.errors import ModelUnavailable

from .spandrel import load_descriptor, size_of

MAX_SCALE = 8


def load_upscaler(
    file: TensorFile, name: str, key: str, device: torch.device, dtype: torch.dtype
) -> LoadedUpscaler:
    """Load an RGB upscaler, in float16 if ``dtype`` is float16 and the model supports it.

    Raises ModelUnavailable.
    """
    descriptor = load_descriptor(file, name, "an upscaler")
    _check_rgb_upscaler(descriptor, name)
    half = dtype == torch.float16 and descriptor.supports_half
    descriptor.to(device, torch.float16 if half else torch.float32).eval()
    descriptor.model.requires_grad_(False)
    return LoadedUpscaler(key, descriptor.scale, descriptor, size_of(descriptor.model))


def _check_rgb_upscaler(descriptor: Any, name: str) -> None:
    channels = (descriptor.input_channels, descriptor.output_channels)
    if channels != (3, 3):
        raise ModelUnavailable(
            f"{name} must have 3 input and 3 output channels (got {channels[0]} and {channels[1]})"
        )
    if not 1 <= descriptor.scale <= MAX_SCALE:
        raise ModelUnavailable(f"the scale of {name} must be from 1 to {MAX_SCALE} (got {descriptor.scale})")
    if descriptor.purpose not in ("SR", "Restoration"):
        raise ModelUnavailable(f"{name} is not an upscaler (its purpose is {descriptor.purpose})")
