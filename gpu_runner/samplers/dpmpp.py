"""DPM-Solver++ on the denoised estimate, in the logarithm of sigma: deterministic, ancestral, and as a stochastic equation.

After Lu et al., "DPM-Solver++" (2022); the SDE ones as in its section on stochastic sampling and in k-diffusion.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

from torch import Tensor

from gpu_runner.protocol.schedules.ancestral import ancestral_split

from .brownian_noise import BrownianNoise
from .common_steps import SamplerOptions, Walk, exponential_step, renoise
from .noise import NoiseStream

Estimates = list[tuple[float, Tensor]]  # (sigma, denoised), the newest last
Correction = Callable[[Estimates, float, float], Tensor]


def dpmpp_2m(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> Walk:
    earlier: tuple[Tensor, float] | None = None
    for sigma, following in pairwise(sigmas):
        denoised = yield x, sigma
        estimate = denoised
        if earlier is not None and following > 0:
            ratio = math.log(earlier[1] / sigma) / math.log(sigma / following)
            estimate = denoised + (denoised - earlier[0]) / (2 * ratio)
        x = exponential_step(x, estimate, sigma, following)
        earlier = denoised, sigma
    return x


def dpmpp_2s_ancestral(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> Walk:
    for sigma, following in pairwise(sigmas):
        down, up = ancestral_split(sigma, following, options.eta)
        denoised = yield x, sigma
        if down > 0:
            middle = math.sqrt(sigma * down)
            denoised = yield exponential_step(x, denoised, sigma, middle), middle
        x = renoise(exponential_step(x, denoised, sigma, down), following, up * options.s_noise, noise)
    return x


def dpmpp_sde(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> Walk:
    """Two estimates a step: the second one, half-way, is all that the step goes by."""
    fresh_noise = noise.brownian([*sigmas, *options.schedule])
    for sigma, following in pairwise(sigmas):
        denoised = yield x, sigma
        if following > 0:
            middle = math.sqrt(sigma * following)
            denoised = yield _ancestral_step(x, denoised, sigma, middle, fresh_noise, options), middle
        x = _ancestral_step(x, denoised, sigma, following, fresh_noise, options)
    return x


def _ancestral_step(
    x: Tensor,
    denoised: Tensor,
    sigma: float,
    following: float,
    fresh_noise: BrownianNoise,
    options: SamplerOptions,
) -> Tensor:
    down, up = ancestral_split(sigma, following, options.eta)
    x = exponential_step(x, denoised, sigma, down)
    return x + fresh_noise.between(sigma, following) * (up * options.s_noise) if up > 0 else x


def dpmpp_2m_sde(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> Walk:
    return _multistep_sde(x, sigmas, noise, options, _midpoint_correction)


def dpmpp_2m_sde_heun(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> Walk:
    return _multistep_sde(x, sigmas, noise, options, _heun_correction)


def dpmpp_3m_sde(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> Walk:
    return _multistep_sde(x, sigmas, noise, options, _third_order_correction)


def _multistep_sde(
    x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions, correction: Correction
) -> Walk:
    fresh_noise = noise.brownian([*sigmas, *options.schedule])
    known: Estimates = []
    for sigma, following in pairwise(sigmas):
        denoised = yield x, sigma
        known = [*known, (sigma, denoised)][-3:]
        if following == 0:
            x = denoised
            continue
        h = math.log(sigma / following)
        shrunk = h * (1 + options.eta)  # the noise to come makes room for itself
        x = math.exp(-shrunk) * x - math.expm1(-shrunk) * denoised
        if len(known) > 1:
            x = x + correction(known, h, shrunk)
        spread = following * math.sqrt(-math.expm1(-2 * options.eta * h)) * options.s_noise
        x = x + fresh_noise.between(sigma, following) * spread if spread > 0 else x
    return x


def _midpoint_correction(known: Estimates, h: float, shrunk: float) -> Tensor:
    return _slope(known, -1, h) * (-math.expm1(-shrunk) / 2)


def _heun_correction(known: Estimates, h: float, shrunk: float) -> Tensor:
    return _slope(known, -1, h) * (math.expm1(-shrunk) / shrunk + 1)


def _third_order_correction(known: Estimates, h: float, shrunk: float) -> Tensor:
    """Of second order as long as only two estimates are known."""
    second = math.expm1(-shrunk) / shrunk + 1
    newer = _slope(known, -1, h)
    if len(known) < 3:
        return newer * second
    older = _slope(known, -2, h)
    near = math.log(known[-2][0] / known[-1][0]) / h
    far = near + math.log(known[-3][0] / known[-2][0]) / h
    bend = (newer - older) / far
    return (newer + bend * near) * second - bend * (second / shrunk - 0.5)


def _slope(known: Estimates, newest: int, h: float) -> Tensor:
    """How the estimate changed along one ``h`` of the logarithm of sigma."""
    (before, old), (sigma, new) = known[newest - 1], known[newest]
    return (new - old) / (math.log(before / sigma) / h)
