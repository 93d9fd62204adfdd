"""The training objective of rectified flow: the velocity between image and noise."""

from __future__ import annotations

import torch
from torch import Generator, Tensor


class FlowObjective:
    """x_t = (1 - t) * image + t * noise, and the model predicts noise - image.

    Times are drawn from the logit-normal distribution of Esser et al. 2024, "Scaling Rectified Flow Transformers",
    section 3.1, and shifted as in section 5.3.2: where more of them are drawn, errors weigh more, so that the loss itself
    has no weights.
    """

    def __init__(self, shift: float) -> None:
        self._shift = shift

    def times(self, count: int, generator: Generator) -> Tensor:
        """From 0, the image, to 1, noise."""
        return shifted(torch.sigmoid(torch.randn(count, generator=generator)), self._shift)

    def noised(self, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        times = times.to(latents)[:, None, None, None]
        return (1 - times) * latents + times * noise

    def target(self, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        return noise - latents

    def loss(self, predicted: Tensor, target: Tensor, times: Tensor) -> Tensor:
        return (predicted.float() - target.float()).square().mean()


def shifted(times: Tensor, factor: float) -> Tensor:
    """t / (1 - t) multiplied by ``factor``."""
    return factor * times / (1 + (factor - 1) * times)
