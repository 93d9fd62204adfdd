"""Upscaler models from files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gpu_runner.model_files import ModelUnavailable, TensorFile
from gpu_runner.spandrel_loading import described, size_of

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGEST_SCALE = 8


@dataclass(eq=False)
class LoadedUpscaler:
    key: str  # the file's SHA-256
    scale: int
    descriptor: Any
    size_bytes: int

    def __call__(self, pixels: Sequence[Tensor]) -> list[Tensor]:
        """From -1 to 1, as everywhere; the models know 0 to 1. All pictures are of one size."""
        batch = torch.stack([(picture + 1) / 2 for picture in pixels])
        enlarged = self.descriptor(batch.to(self.descriptor.device, self.descriptor.dtype))
        return list((enlarged.float() * 2 - 1).unbind())


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
