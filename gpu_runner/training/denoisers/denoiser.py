"""The model in training, as the training loop and the samples call it: the same for diffusion and for flow matching."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Generator, Tensor

SAMPLE_STEPS = 20


class Objective(Protocol):
    """Noised latents, what the model has to predict for them, and the weight of each error.

    Latents and noise are (n, channels, h, w); ``times`` are (n,), as the model takes them.
    """

    def times(self, count: int, generator: Generator) -> Tensor: ...

    def noised(self, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor: ...

    def target(self, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor: ...

    def loss(self, predicted: Tensor, target: Tensor, times: Tensor) -> Tensor: ...


class Denoiser(Protocol):
    """Predicts for noisy latents, one caption each; with gradients where adapters are trained."""

    @property
    def objective(self) -> Objective: ...

    def predict(self, captions: Sequence[str], noisy: Tensor, times: Tensor) -> Tensor: ...

    def draw(self, prompt: str, size: tuple[int, int], seed: int) -> Tensor:
        """The latent (channels, h, w) of a sample of (width, height), in SAMPLE_STEPS steps, without gradients."""
        ...
