"""Euler and its kin: solvers of the probability flow in sigma, with or without fresh noise on the way.

After Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models" (2022).
"""

from __future__ import annotations

from itertools import pairwise

from numpy.polynomial import Polynomial
from torch import Tensor

from gpu_runner.protocol.schedules.ancestral import ancestral_split

from .common_steps import SamplerOptions, Walk, churn, euler_step, heun_step, midpoint_step, renoise
from .noise import NoiseStream

LMS_ORDER = 4


def euler(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> Walk:
    for sigma, following in pairwise(sigmas):
        x, raised = churn(x, sigma, len(sigmas) - 1, noise, options)
        denoised = yield x, raised
        x = euler_step(x, denoised, raised, following)
    return x


def euler_ancestral(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> Walk:
    for sigma, following in pairwise(sigmas):
        denoised = yield x, sigma
        down, up = ancestral_split(sigma, following, options.eta)
        x = renoise(euler_step(x, denoised, sigma, down), following, up, noise)
    return x


def heun(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> Walk:
    for sigma, following in pairwise(sigmas):
        x, raised = churn(x, sigma, len(sigmas) - 1, noise, options)
        x = yield from heun_step(x, raised, following)
    return x


def dpm_2(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> Walk:
    for sigma, following in pairwise(sigmas):
        x, raised = churn(x, sigma, len(sigmas) - 1, noise, options)
        x = yield from midpoint_step(x, raised, following)
    return x


def dpm_2_ancestral(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> Walk:
    for sigma, following in pairwise(sigmas):
        down, up = ancestral_split(sigma, following, options.eta)
        x = yield from midpoint_step(x, sigma, down)
        x = renoise(x, following, up * options.s_noise, noise)
    return x


def lms(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> Walk:
    slopes: list[Tensor] = []
    for step, (sigma, following) in enumerate(pairwise(sigmas)):
        denoised = yield x, sigma
        slopes = [(x - denoised) / sigma, *slopes[: LMS_ORDER - 1]]
        known = sigmas[step - len(slopes) + 1 : step + 1][::-1]
        for index, slope in enumerate(slopes):
            x = x + slope * _lagrange_integral(known, index, sigma, following)
    return x


def _lagrange_integral(known: list[float], index: int, start: float, end: float) -> float:
    basis = Polynomial([1.0])
    for other, sigma in enumerate(known):
        if other != index:
            basis *= Polynomial([-sigma, 1.0]) / (known[index] - sigma)
    integral = basis.integ()
    return float(integral(end) - integral(start))
