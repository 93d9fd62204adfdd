"""DPM-Solver++ samplers on the denoised estimate, in log(sigma): deterministic, ancestral, and SDE.

Lu et al. (2022), "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models", as in k-diffusion.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

from torch import Tensor

from gpu_runner.protocol.schedules.ancestral import ancestral_step

from .brownian_noise import BrownianNoise
from .common_steps import SamplerGenerator, SamplerOptions, exponential_step, renoise
from .noise import NoiseStream

Estimates = list[tuple[float, Tensor]]  # (sigma, denoised), newest last
Correction = Callable[[Estimates, float, float], Tensor]


def dpmpp_2m(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> SamplerGenerator:
    """k-diffusion's ``sample_dpmpp_2m``: second-order multistep, deterministic."""
    earlier: tuple[Tensor, float] | None = None
    for sigma, sigma_next in pairwise(sigmas):
        denoised = yield x, sigma
        estimate = denoised
        if earlier is not None and sigma_next > 0:
            ratio = math.log(earlier[1] / sigma) / math.log(sigma / sigma_next)
            estimate = denoised + (denoised - earlier[0]) / (2 * ratio)
        x = exponential_step(x, estimate, sigma, sigma_next)
        earlier = denoised, sigma
    return x


def dpmpp_2s_ancestral(
    x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions
) -> SamplerGenerator:
    """k-diffusion's ``sample_dpmpp_2s_ancestral``: second-order singlestep with ancestral noise."""
    for sigma, sigma_next in pairwise(sigmas):
        down, up = ancestral_step(sigma, sigma_next, options.eta)
        denoised = yield x, sigma
        if down > 0:
            middle = math.sqrt(sigma * down)
            denoised = yield exponential_step(x, denoised, sigma, middle), middle
        x = renoise(exponential_step(x, denoised, sigma, down), sigma_next, up * options.s_noise, noise)
    return x


def dpmpp_sde(
    x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions
) -> SamplerGenerator:
    """k-diffusion's ``sample_dpmpp_sde`` with r = 1/2: the step uses the estimate at its midpoint in log(sigma) only."""
    brownian = noise.brownian([*sigmas, *options.schedule])
    for sigma, sigma_next in pairwise(sigmas):
        denoised = yield x, sigma
        if sigma_next > 0:
            middle = math.sqrt(sigma * sigma_next)
            denoised = yield _ancestral_step(x, denoised, sigma, middle, brownian, options), middle
        x = _ancestral_step(x, denoised, sigma, sigma_next, brownian, options)
    return x


def _ancestral_step(
    x: Tensor,
    denoised: Tensor,
    sigma: float,
    sigma_next: float,
    brownian: BrownianNoise,
    options: SamplerOptions,
) -> Tensor:
    down, up = ancestral_step(sigma, sigma_next, options.eta)
    x = exponential_step(x, denoised, sigma, down)
    return x + brownian.between(sigma, sigma_next) * (up * options.s_noise) if up > 0 else x


def dpmpp_2m_sde(
    x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions
) -> SamplerGenerator:
    """k-diffusion's ``sample_dpmpp_2m_sde`` with solver_type="midpoint"."""
    return _multistep_sde(x, sigmas, noise, options, _midpoint_correction)


def dpmpp_2m_sde_heun(
    x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions
) -> SamplerGenerator:
    """k-diffusion's ``sample_dpmpp_2m_sde`` with solver_type="heun"."""
    return _multistep_sde(x, sigmas, noise, options, _heun_correction)


def dpmpp_3m_sde(
    x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions
) -> SamplerGenerator:
    """k-diffusion's ``sample_dpmpp_3m_sde``."""
    return _multistep_sde(x, sigmas, noise, options, _third_order_correction)


def _multistep_sde(
    x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions, correction: Correction
) -> SamplerGenerator:
    brownian = noise.brownian([*sigmas, *options.schedule])
    known: Estimates = []
    for sigma, sigma_next in pairwise(sigmas):
        denoised = yield x, sigma
        known = [*known, (sigma, denoised)][-3:]
        if sigma_next == 0:
            x = denoised
            continue
        h = math.log(sigma / sigma_next)
        h_eta = h * (1 + options.eta)  # the step is longer by eta, to make room for the noise that is added
        x = math.exp(-h_eta) * x - math.expm1(-h_eta) * denoised
        if len(known) > 1:
            x = x + correction(known, h, h_eta)
        noise_scale = sigma_next * math.sqrt(-math.expm1(-2 * options.eta * h)) * options.s_noise
        x = x + brownian.between(sigma, sigma_next) * noise_scale if noise_scale > 0 else x
    return x


def _midpoint_correction(known: Estimates, h: float, h_eta: float) -> Tensor:
    return _slope(known, -1, h) * (-math.expm1(-h_eta) / 2)


def _heun_correction(known: Estimates, h: float, h_eta: float) -> Tensor:
    return _slope(known, -1, h) * (math.expm1(-h_eta) / h_eta + 1)


def _third_order_correction(known: Estimates, h: float, h_eta: float) -> Tensor:
    """Second order while only two estimates are known."""
    second = math.expm1(-h_eta) / h_eta + 1
    newer = _slope(known, -1, h)
    if len(known) < 3:
        return newer * second
    older = _slope(known, -2, h)
    near = math.log(known[-2][0] / known[-1][0]) / h
    far = near + math.log(known[-3][0] / known[-2][0]) / h
    curvature = (newer - older) / far
    return (newer + curvature * near) * second - curvature * (second / h_eta - 0.5)


def _slope(known: Estimates, newest: int, h: float) -> Tensor:
    """Return the change of the estimate per ``h`` of log(sigma)."""
    (before, old), (sigma, new) = known[newest - 1], known[newest]
    return (new - old) / (math.log(before / sigma) / h)
