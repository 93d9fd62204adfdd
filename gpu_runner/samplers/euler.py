"""Euler, Heun, DPM2 and LMS samplers: solvers of the probability flow ODE in sigma, with optional noise.

The functions of k-diffusion, after Karras et al. (2022), "Elucidating the Design Space of Diffusion-Based Generative Models".
"""

from __future__ import annotations

from itertools import pairwise

from numpy.polynomial import Polynomial
from torch import Tensor

from gpu_runner.protocol.schedules.ancestral import ancestral_step

from .common_steps import (
    SamplerGenerator,
    SamplerOptions,
    churn,
    euler_step,
    heun_step,
    midpoint_step,
    renoise,
)
from .noise import NoiseStream

LMS_ORDER = 4


def euler(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> SamplerGenerator:
    """k-diffusion's ``sample_euler``: Karras et al. (2022), algorithm 2 without the correction step."""
    for sigma, sigma_next in pairwise(sigmas):
        x, raised = churn(x, sigma, len(sigmas) - 1, noise, options)
        denoised = yield x, raised
        x = euler_step(x, denoised, raised, sigma_next)
    return x


def euler_ancestral(
    x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions
) -> SamplerGenerator:
    """k-diffusion's ``sample_euler_ancestral`` with s_noise 1, as A1111 calls it."""
    for sigma, sigma_next in pairwise(sigmas):
        denoised = yield x, sigma
        down, up = ancestral_step(sigma, sigma_next, options.eta)
        x = renoise(euler_step(x, denoised, sigma, down), sigma_next, up, noise)
    return x


def heun(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> SamplerGenerator:
    """k-diffusion's ``sample_heun``: Karras et al. (2022), algorithm 2. Two evaluations per step."""
    for sigma, sigma_next in pairwise(sigmas):
        x, raised = churn(x, sigma, len(sigmas) - 1, noise, options)
        x = yield from heun_step(x, raised, sigma_next)
    return x


def dpm_2(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> SamplerGenerator:
    """k-diffusion's ``sample_dpm_2``: DPM-Solver-2 (midpoint) steps with churn. Two evaluations per step."""
    for sigma, sigma_next in pairwise(sigmas):
        x, raised = churn(x, sigma, len(sigmas) - 1, noise, options)
        x = yield from midpoint_step(x, raised, sigma_next)
    return x


def dpm_2_ancestral(
    x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions
) -> SamplerGenerator:
    """k-diffusion's ``sample_dpm_2_ancestral``: if sigma_down is 0 (large eta), no noise is drawn."""
    for sigma, sigma_next in pairwise(sigmas):
        down, up = ancestral_step(sigma, sigma_next, options.eta)
        x = yield from midpoint_step(x, sigma, down)
        x = renoise(x, down, up * options.s_noise, noise)
    return x


def lms(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> SamplerGenerator:
    """k-diffusion's ``sample_lms``: linear multistep (Adams-Bashforth) of order 4 with variable step sizes.

    The coefficients are integrated exactly, in k-diffusion by quadrature.
    """
    slopes: list[Tensor] = []
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield x, sigma
        slopes = [(x - denoised) / sigma, *slopes[: LMS_ORDER - 1]]
        known = sigmas[step - len(slopes) + 1 : step + 1][::-1]
        for index, slope in enumerate(slopes):
            x = x + slope * _lagrange_integral(known, index, sigma, sigma_next)
    return x


def _lagrange_integral(known: list[float], index: int, start: float, end: float) -> float:
    """Integral from ``start`` to ``end`` of the Lagrange basis polynomial ``index`` over the nodes ``known``."""
    basis = Polynomial([1.0])
    for other, sigma in enumerate(known):
        if other != index:
            basis *= Polynomial([-sigma, 1.0]) / (known[index] - sigma)
    integral = basis.integ()
    return float(integral(end) - integral(start))
