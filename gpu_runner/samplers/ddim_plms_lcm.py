"""The samplers that A1111 walks along the model's own timesteps, and LCM. See unipc.py for UniPC.

They are written for the variance-preserving x, which is x in sigma space divided by sqrt(1 + sigma**2).
"""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor

from .common_steps import SamplerOptions, Walk, renoise
from .noise import NoiseStream

PLMS_WEIGHTS = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))


def ddim(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> Walk:
    """Song et al., "Denoising Diffusion Implicit Models" (2020)."""
    for sigma, following in pairwise(sigmas):
        denoised = yield x, sigma
        x = _ddim_step(x, denoised, denoised, sigma, following, noise, options.eta)
    return x


def ddim_cfgpp(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> Walk:
    """CFG++ (Chung et al., 2024): goes to the guided estimate, along the noise of the unguided one."""
    for sigma, following in pairwise(sigmas):
        denoised, unguided = yield x, sigma
        x = _ddim_step(x, denoised, unguided, sigma, following, noise, options.eta)
    return x


def _ddim_step(
    x: Tensor,
    denoised: Tensor,
    noise_of: Tensor,
    sigma: float,
    following: float,
    noise: NoiseStream,
    eta: float,
) -> Tensor:
    alpha, alpha_following = 1 / (1 + sigma**2), 1 / (1 + following**2)
    fresh = eta * math.sqrt((1 - alpha_following) / (1 - alpha) * (1 - alpha / alpha_following))
    kept = math.sqrt(max(1 - alpha_following - fresh**2, 0) / alpha_following)
    x = denoised + (x - noise_of) / sigma * kept
    return renoise(x, following, fresh / math.sqrt(alpha_following), noise)


def plms(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> Walk:
    """Liu et al., "Pseudo Numerical Methods for Diffusion Models" (2022); its first step looks ahead once."""
    known: list[Tensor] = []
    for sigma, following in pairwise(sigmas):
        eps = (x - (yield x, sigma)) / sigma
        if not known:
            guess = x + eps * (following - sigma)
            slope = (eps + (guess - (yield guess, following)) / following) / 2
        known = [eps, *known[:3]]
        if len(known) > 1:
            slope = sum(weight * one for weight, one in zip(PLMS_WEIGHTS[len(known) - 1], known, strict=True))
        x = x + slope * (following - sigma)
    return x


def lcm(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> Walk:
    """Luo et al., "Latent Consistency Models" (2023): each estimate is a picture, noised again for the next one.

    The paper's boundary scaling is left out: on its own grid of timesteps it changes a latent by less than 1e-5.
    """
    for sigma, following in pairwise(sigmas):
        x = renoise((yield x, sigma), following, following, noise)
    return x
