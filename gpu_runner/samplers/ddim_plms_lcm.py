"""DDIM, DDIM CFG++ and PLMS, which A1111 runs on the model's own timesteps, and LCM. UniPC is in unipc.py.

Their papers use the variance-preserving latent, which is x / sqrt(1 + sigma**2), with alpha_bar = 1 / (1 + sigma**2).
"""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor

from .common_steps import SamplerGenerator, SamplerOptions, renoise
from .noise import NoiseStream

PLMS_WEIGHTS = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))


def ddim(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> SamplerGenerator:
    """DDIM: Song et al. (2020), "Denoising Diffusion Implicit Models", equations 12 (step) and 16 (eta). A1111's ``ddim``."""
    for sigma, sigma_next in pairwise(sigmas):
        denoised = yield x, sigma
        x = _ddim_step(x, denoised, denoised, sigma, sigma_next, noise, options.eta)
    return x


def ddim_cfgpp(
    x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions
) -> SamplerGenerator:
    """Chung et al. (2024), "CFG++: Manifold-constrained Classifier Free Guidance for Diffusion Models". A1111's ``ddim_cfgpp``.

    x0 is the guided estimate; the noise that is added back is that of the unguided estimate. Expects (guided, unguided) estimates.
    """
    for sigma, sigma_next in pairwise(sigmas):
        denoised, unguided = yield x, sigma
        x = _ddim_step(x, denoised, unguided, sigma, sigma_next, noise, options.eta)
    return x


def _ddim_step(
    x: Tensor,
    denoised: Tensor,
    noise_estimate: Tensor,
    sigma: float,
    sigma_next: float,
    noise: NoiseStream,
    eta: float,
) -> Tensor:
    alpha, alpha_next = 1 / (1 + sigma**2), 1 / (1 + sigma_next**2)
    fresh = eta * math.sqrt((1 - alpha_next) / (1 - alpha) * (1 - alpha / alpha_next))
    kept = math.sqrt(max(1 - alpha_next - fresh**2, 0) / alpha_next)
    x = denoised + (x - noise_estimate) / sigma * kept
    return renoise(x, sigma_next, fresh / math.sqrt(alpha_next), noise)


def plms(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> SamplerGenerator:
    """PLMS: Liu et al. (2022), "Pseudo Numerical Methods for Diffusion Models on Manifolds", as in A1111's ``plms``.

    Linear multistep (Adams-Bashforth) of order 4, lower at the start. The first step, improved Euler, takes two evaluations.
    """
    known: list[Tensor] = []
    for sigma, sigma_next in pairwise(sigmas):
        eps = (x - (yield x, sigma)) / sigma
        if not known:
            guess = x + eps * (sigma_next - sigma)
            slope = (eps + (guess - (yield guess, sigma_next)) / sigma_next) / 2
        known = [eps, *known[:3]]
        if len(known) > 1:
            slope = sum(weight * one for weight, one in zip(PLMS_WEIGHTS[len(known) - 1], known, strict=True))
        x = x + slope * (sigma_next - sigma)
    return x


def lcm(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> SamplerGenerator:
    """LCM: Luo et al. (2023), "Latent Consistency Models", as in A1111's ``sample_lcm``. Each estimate is noised again.

    The boundary scaling (c_skip and c_out) is left out: from timestep 19 on, the lowest in use, both differ from 0 and 1
    by less than 1e-5.
    """
    for sigma, sigma_next in pairwise(sigmas):
        x = renoise((yield x, sigma), sigma_next, sigma_next, noise)
    return x
