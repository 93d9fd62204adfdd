"""DPM-Solver on the noise, in t = -log(sigma), with a fixed number of model calls or with steps as long as the error allows.

After Lu et al., "DPM-Solver" (2022), algorithms 1 to 3, and k-diffusion's choice of tolerances.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from itertools import pairwise

import torch
from torch import Tensor

from gpu_runner.protocol.schedules.ancestral import ancestral_split

from .common_steps import SamplerOptions, Walk
from .noise import NoiseStream

FIRST_H = 0.05
RELATIVE, ABSOLUTE = 0.05, 0.0078  # tolerances of the adaptive one
ACCEPTED = 0.81  # it takes a step again when the next would have to be shorter than this share


def dpm_fast(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> Walk:
    """Of third order, and of a lower one at the end, so that the calls are as many as the steps asked for."""
    start, end = _ends(sigmas)
    orders = _orders(len(sigmas) - 1)
    times = torch.linspace(start, end, len(orders) + 1, dtype=torch.float64).tolist()
    for order, (now, then) in zip(orders, pairwise(times), strict=True):
        aim, up = _aim(now, then, end, options.eta)
        if order == 3:
            x, _ = yield from _third_order(x, (yield from _eps(x, now)), now, aim)
        else:
            x = yield from _low_order(x, order, now, aim)
        x = _with_noise(x, up * options.s_noise, noise)
    return x


def dpm_adaptive(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> Walk:
    """Compares its third order with the second: what they disagree in is the error, and sets the next step's length."""
    now, end = _ends(sigmas)
    lower, h, eps = x, FIRST_H, None
    while now < end - 1e-5:
        then = min(end, now + h)
        aim, up = _aim(now, then, end, options.eta)
        if eps is None:
            eps = yield from _eps(x, now)
        high, low = yield from _third_order(x, eps, now, aim)
        factor = _step_factor(high, low, lower, order=1.5 if options.eta else 3)
        if factor >= ACCEPTED:
            x, lower, now, eps = _with_noise(high, up, noise), low, then, None
        h *= factor
    return x


def _step_factor(high: Tensor, low: Tensor, before: Tensor, order: float) -> float:
    """By how much the step may grow. Estimates that are no numbers must not hold it for ever."""
    tolerance = (RELATIVE * torch.maximum(low.abs(), before.abs())).clamp(min=ABSOLUTE)
    error = float(((low - high) / tolerance).square().mean().sqrt())
    if not math.isfinite(error):
        return 1.0
    return 1 + math.atan((error + 1e-8) ** (-1 / order) - 1)


def _ends(sigmas: list[float]) -> tuple[float, float]:
    lowest = sigmas[-1] if sigmas[-1] > 0 else sigmas[max(len(sigmas) - 2, 0)]
    return -math.log(sigmas[0]), -math.log(lowest)


def _orders(calls: int) -> list[int]:
    whole, rest = divmod(calls, 3)
    return [3] * whole + [rest] if rest else [3] * (whole - 1) + [2, 1]


def _aim(now: float, then: float, end: float, eta: float) -> tuple[float, float]:
    """Where to solve to, and how much noise then leads back up to ``then``."""
    if not eta:
        return then, 0.0
    down, _ = ancestral_split(math.exp(-now), math.exp(-then), eta)
    aim = min(end, -math.log(down)) if down > 0 else end
    return aim, math.sqrt(max(math.exp(-2 * then) - math.exp(-2 * aim), 0.0))


def _with_noise(x: Tensor, up: float, noise: NoiseStream) -> Tensor:
    return x + noise.draw() * up if up > 0 else x


def _eps(x: Tensor, time: float) -> Walk:
    sigma = math.exp(-time)
    denoised = yield x, sigma
    return (x - denoised) / sigma


def _low_order(x: Tensor, order: int, now: float, aim: float) -> Walk:
    eps, h, sigma = (yield from _eps(x, now)), aim - now, math.exp(-aim)
    first = x - sigma * math.expm1(h) * eps
    if order == 1:
        return first
    middle = now + h / 2
    between = yield from _eps(x - math.exp(-middle) * math.expm1(h / 2) * eps, middle)
    return first - sigma * math.expm1(h) * (between - eps)


def _third_order(
    x: Tensor, eps: Tensor, now: float, aim: float
) -> Generator[tuple[Tensor, float], Tensor, tuple[Tensor, Tensor]]:
    """The result, and the second-order one that the same calls give. Looks at one and at two thirds of the way."""
    h, sigma, one, two = aim - now, math.exp(-aim), now + (aim - now) / 3, now + (aim - now) * 2 / 3
    eps_one = yield from _eps(x - math.exp(-one) * math.expm1(h / 3) * eps, one)
    bend = 2 * (math.expm1(h * 2 / 3) / (h * 2 / 3) - 1) * (eps_one - eps)
    eps_two = yield from _eps(x - math.exp(-two) * (math.expm1(h * 2 / 3) * eps + bend), two)
    first = x - sigma * math.expm1(h) * eps
    third = first - sigma * 1.5 * (math.expm1(h) / h - 1) * (eps_two - eps)
    return third, first - sigma * 1.5 * math.expm1(h) * (eps_one - eps)
