"""Denoising loss: Stable Diffusion 1.x's noise schedule, noise with low-frequency components, and v-prediction weighting.

The schedule does not end at pure noise: the color of a large uniform image remains visible in the mean of its noisy latent.
A model trained on that ignores the prompt when it starts from pure noise, whose mean is zero. The training noise therefore
has low-frequency components that hide the mean (offset noise, https://www.crosslabs.org/blog/diffusion-with-offset-noise).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

COARSE_NOISE = ((1, 0.2), (2, 0.12), (4, 0.08))  # (cells across, strength)
ALL_TIMES = range(1000)
OUTLINE_TIMES = range(450, 850)  # the outline is determined here; at higher noise, only color and position
LARGE_OUTLINE_TIMES = range(550, 950)  # for large images: the same noise hides less of a larger shape
DETAIL_TIMES = range(400)  # the image matters more than the text


def alphas_cumprod() -> Tensor:
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return (1 - betas).cumprod(0).float()


def training_noise(shape: torch.Size, generator: torch.Generator) -> Tensor:
    noise = torch.randn(shape, generator=generator)
    for cells, strength in COARSE_NOISE:
        coarse = torch.randn(shape[0], shape[1], cells, cells, generator=generator)
        noise = noise + strength * functional.interpolate(
            coarse, shape[2:], mode="bilinear", align_corners=False
        )
    return noise / (1 + sum(strength**2 for _cells, strength in COARSE_NOISE)) ** 0.5


def denoising_loss(
    predict: Callable[[Tensor, Tensor], Tensor],
    latents: Tensor,
    generator: torch.Generator,
    times: range = ALL_TIMES,
) -> Tensor:
    """Loss of ``predict(noisy latents, times)`` at random timesteps from ``times``, weighted like v-prediction errors."""
    noise = training_noise(latents.shape, generator)
    timesteps = torch.randint(times.start, times.stop, (len(latents),), generator=generator)
    alphas = alphas_cumprod()[timesteps][:, None, None, None]
    noisy = alphas.sqrt() * latents + (1 - alphas).sqrt() * noise
    predicted_noise = predict(noisy.contiguous(memory_format=torch.channels_last), timesteps)
    errors = (predicted_noise - noise).square().mean((1, 2, 3))
    # Weighted like v-prediction errors: unweighted noise errors neglect the steps that determine the outline.
    return (errors / alphas.flatten()).mean()
