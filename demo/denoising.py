"""What a denoiser is trained on: Stable Diffusion 1.x's schedule, noise with coarse parts, errors weighed as those of v.

The schedule never reaches pure noise: at its end a large flat picture still shows its colour in the mean of its latent,
and a model trained on that ignores the prompt when it starts from real noise, whose mean is zero. So the training noise
has coarse parts as well (the idea of https://www.crosslabs.org/blog/diffusion-with-offset-noise), which hide it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

COARSE_NOISE = ((1, 0.2), (2, 0.12), (4, 0.08))  # (cells across, strength)
ALL_TIMES = range(1000)
PLANNING = range(450, 850)  # where the outline is planned; before, only colours and the place can be told
LARGE_PLANNING = range(550, 950)  # in large pictures: the same noise hides less of a larger shape
POLISHING = range(400)  # where the picture should be believed more than the text


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
    """Of ``predict(noisy latents, times)``, at times drawn from ``times``."""
    noise = training_noise(latents.shape, generator)
    drawn = torch.randint(times.start, times.stop, (len(latents),), generator=generator)
    kept = alphas_cumprod()[drawn][:, None, None, None]
    noisy = kept.sqrt() * latents + (1 - kept).sqrt() * noise
    guess = predict(noisy.contiguous(memory_format=torch.channels_last), drawn)
    errors = (guess - noise).square().mean((1, 2, 3))
    # Weighed as an error of v: plain noise errors count the steps in which the outline is planned for nothing.
    return (errors / kept.flatten()).mean()
