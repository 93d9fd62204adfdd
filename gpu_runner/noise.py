"""Every picture has a noise stream of its own, so that it does not depend on who shares its batch."""

from __future__ import annotations

import torch


class NoiseStream:
    """Drawn on the CPU whatever the device: the same seed is the same picture on every machine.

    The first draw is the picture's initial noise; what an ancestral sampler draws later follows in the same stream.
    """

    def __init__(self, seed: int, shape: tuple[int, ...], device: torch.device) -> None:
        self._generator = torch.Generator("cpu").manual_seed(seed)
        self._shape = shape
        self._device = device

    def draw(self) -> torch.Tensor:
        return torch.randn(self._shape, generator=self._generator, dtype=torch.float32).to(self._device)
