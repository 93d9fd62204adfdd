"""DPM-Solver on the predicted noise, in t = -log(sigma): DPM fast and DPM adaptive.

Lu et al. (2022), "DPM-Solver: A Fast ODE Solver for Diffusion Probabilistic Model Sampling in Around 10 Steps". The steps are
DPM-Solver-1, -2 and -3 of k-diffusion's ``DPMSolver``, with the defaults of ``sample_dpm_fast`` and ``sample_dpm_adaptive``.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from itertools import pairwise

import torch
from torch import Tensor

from gpu_runner.protocol.schedules.ancestral import ancestral_step

from .common_steps import SamplerGenerator, SamplerOptions
from .noise import NoiseStream

# Of DPM adaptive, named as in k-diffusion.
H_INIT = 0.05  # first step size in t
RTOL, ATOL = 0.05, 0.0078  # relative and absolute tolerance
ACCEPT_SAFETY = 0.81  # a step is rejected if its size factor is below this


def dpm_fast(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> SamplerGenerator:
    """k-diffusion's ``sample_dpm_fast``: third-order steps, with lower orders at the end, and ``len(sigmas) - 1`` evaluations.

    Uses only the first and the last nonzero sigma. One step leads from the highest to the lowest level.
    """
    start, end = _time_range(sigmas)
    orders = _orders(len(sigmas) - 1)
    times = torch.linspace(start, end, len(orders) + 1, dtype=torch.float64).tolist()
    for order, (now, then) in zip(orders, pairwise(times), strict=True):
        target, up = _target(now, then, end, options.eta)
        if order == 3:
            x, _ = yield from _third_order(x, (yield from _eps(x, now)), now, target)
        else:
            x = yield from _low_order(x, order, now, target)
        x = _with_noise(x, up * options.s_noise, noise)
    return x


def dpm_adaptive(
    x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions
) -> SamplerGenerator:
    """k-diffusion's ``sample_dpm_adaptive`` of order 3 (DPM-Solver-23), with s_noise 1.

    The difference between the third- and the second-order result controls the step size.

    Uses only the first and the last nonzero sigma.
    """
    now, end = _time_range(sigmas)
    lower, h, eps = x, H_INIT, None
    while now < end - 1e-5:
        then = min(end, now + h)
        target, up = _target(now, then, end, options.eta)
        if eps is None:
            eps = yield from _eps(x, now)
        high, low = yield from _third_order(x, eps, now, target)
        factor = _step_factor(high, low, lower, order=1.5 if options.eta else 3)
        if factor >= ACCEPT_SAFETY:
            x, lower, now, eps = _with_noise(high, up, noise), low, then, None
        h *= factor
    return x


def _step_factor(high: Tensor, low: Tensor, before: Tensor, order: float) -> float:
    """Return the factor for the step size (k-diffusion's ``PIDStepSizeController`` with an integral term only).

    NaN estimates give 1, so that the loop ends.
    """
    tolerance = (RTOL * torch.maximum(low.abs(), before.abs())).clamp(min=ATOL)
    error = float(((low - high) / tolerance).square().mean().sqrt())
    if not math.isfinite(error):
        return 1.0
    return 1 + math.atan((error + 1e-8) ** (-1 / order) - 1)


def _time_range(sigmas: list[float]) -> tuple[float, float]:
    lowest = sigmas[-1] if sigmas[-1] > 0 else sigmas[max(len(sigmas) - 2, 0)]
    return -math.log(sigmas[0]), -math.log(lowest)


def _orders(calls: int) -> list[int]:
    whole, rest = divmod(calls, 3)
    return [3] * whole + [rest] if rest else [3] * (whole - 1) + [2, 1]


def _target(now: float, then: float, end: float, eta: float) -> tuple[float, float]:
    """Return (t to solve to, standard deviation of the noise that leads back to ``then``)."""
    if not eta:
        return then, 0.0
    down, _ = ancestral_step(math.exp(-now), math.exp(-then), eta)
    target = min(end, -math.log(down)) if down > 0 else end
    return target, math.sqrt(max(math.exp(-2 * then) - math.exp(-2 * target), 0.0))


def _with_noise(x: Tensor, up: float, noise: NoiseStream) -> Tensor:
    return x + noise.draw() * up if up > 0 else x


def _eps(x: Tensor, time: float) -> SamplerGenerator:
    sigma = math.exp(-time)
    denoised = yield x, sigma
    return (x - denoised) / sigma


def _low_order(x: Tensor, order: int, now: float, target: float) -> SamplerGenerator:
    eps, h, sigma = (yield from _eps(x, now)), target - now, math.exp(-target)
    first = x - sigma * math.expm1(h) * eps
    if order == 1:
        return first
    middle = now + h / 2
    between = yield from _eps(x - math.exp(-middle) * math.expm1(h / 2) * eps, middle)
    return first - sigma * math.expm1(h) * (between - eps)


def _third_order(
    x: Tensor, eps: Tensor, now: float, target: float
) -> Generator[tuple[Tensor, float], Tensor, tuple[Tensor, Tensor]]:
    """Return (third-order result, second-order result) of a step, which share the evaluations at 1/3 and 2/3 of it."""
    h, sigma = target - now, math.exp(-target)
    time_1, time_2 = now + h / 3, now + h * 2 / 3
    eps_1 = yield from _eps(x - math.exp(-time_1) * math.expm1(h / 3) * eps, time_1)
    correction = 2 * (math.expm1(h * 2 / 3) / (h * 2 / 3) - 1) * (eps_1 - eps)
    eps_2 = yield from _eps(x - math.exp(-time_2) * (math.expm1(h * 2 / 3) * eps + correction), time_2)
    first = x - sigma * math.expm1(h) * eps
    third = first - sigma * 1.5 * (math.expm1(h) / h - 1) * (eps_2 - eps)
    return third, first - sigma * 1.5 * math.expm1(h) * (eps_1 - eps)
