"""Noise of the SDE samplers: increments of a Brownian motion over sigma, the numbers of k-diffusion's BrownianTreeNoiseSampler."""

from __future__ import annotations

import torch
from torch import Tensor
from torchsde import BrownianTree

DIGITS = 6  # BrownianTree rounds its times to this many digits


class BrownianNoise:
    """Brownian motion of one image. Depends on the seed and the sigma range only, not on the steps or the batch.

    Sigmas are rounded to float32, as in k-diffusion. The numbers are drawn on the CPU, so that all devices give the same.
    """

    def __init__(
        self, seed: int, shape: tuple[int, ...], sigma_min: float, sigma_max: float, device: torch.device
    ) -> None:
        """``shape`` is one image's (channels, height, width); ``sigma_min`` is above 0."""
        ends = torch.tensor([sigma_min, sigma_max])
        self._tree = BrownianTree(ends[0], torch.zeros(shape), ends[1], entropy=seed % 2**64)
        self._sigma_min, self._sigma_max = (round(float(end), DIGITS) for end in ends)
        self._device = device

    def between(self, sigma: float, sigma_next: float) -> Tensor:
        """Standard normal noise for the step from ``sigma`` down to ``sigma_next``."""
        start, end = torch.tensor([sigma, sigma_next]).unbind()
        increment = -self._tree(self._clamp(end), self._clamp(start))
        return (increment / (end - start).abs().sqrt()).to(self._device)

    def _clamp(self, time: Tensor) -> float:
        """Limit a time to the rounded range; the tree warns about times outside."""
        return min(max(float(time), self._sigma_min), self._sigma_max)
