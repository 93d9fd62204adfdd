"""Noise of the SDE samplers: increments of a Brownian motion over sigma, the numbers of k-diffusion's BrownianTreeNoiseSampler."""

from __future__ import annotations

import torch
from torch import Tensor
from torchsde import BrownianTree

DIGITS = 6  # to which the tree rounds its times


class BrownianNoise:
    """Depends on the seed and the two ends only, not on the steps between them, and not on the rest of a batch.

    Sigmas are taken in float32, as k-diffusion has them. The numbers are drawn on the CPU, the same for every device.
    """

    def __init__(
        self, seed: int, shape: tuple[int, ...], lowest: float, highest: float, device: torch.device
    ) -> None:
        """``shape`` is one image's (channels, height, width); ``lowest`` is above 0."""
        ends = torch.tensor([lowest, highest])
        self._tree = BrownianTree(ends[0], torch.zeros(shape), ends[1], entropy=seed)
        self._lowest, self._highest = (round(float(end), DIGITS) for end in ends)
        self._device = device

    def between(self, sigma: float, following: float) -> Tensor:
        """Standard normal noise for the step from ``sigma`` down to ``following``."""
        start, end = torch.tensor([sigma, following]).unbind()
        increment = -self._tree(self._inside(end), self._inside(start))
        return (increment / (end - start).abs().sqrt()).to(self._device)

    def _inside(self, time: Tensor) -> float:
        """The tree warns of times outside its rounded ends."""
        return min(max(float(time), self._lowest), self._highest)
