"""UniPC, multistep on the data prediction.

Zhao et al. (2023), "UniPC: A Unified Predictor-Corrector Framework for Fast Sampling of Diffusion Models".
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from .common_steps import SamplerGenerator, SamplerOptions, exponential_step
from .noise import NoiseStream

UNSIMPLIFIED = "vary_coeff"


def unipc(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> SamplerGenerator:
    """UniPC of order ``options.unipc.order``, lower at the start and, with ``lower_order_final``, at the end.

    Each evaluation is used twice: to correct the step that led to it, and to predict the next one.
    """
    highest, variant = options.unipc.order, options.unipc.variant
    levels: list[float] = []
    estimates: list[Tensor] = []
    before, order = x, 0
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield x, sigma
        if step > 0:
            x = _step(before, levels[-order:], estimates[-order:], sigma, variant, denoised)
        levels, estimates = [*levels, sigma][-highest:], [*estimates, denoised][-highest:]
        left = len(sigmas) - 1 - step if options.unipc.lower_order_final else highest
        order = min(highest, step + 1, left)
        before, x = x, _step(x, levels[-order:], estimates[-order:], sigma_next, variant)
    return x


def _step(
    x: Tensor,
    levels: list[float],
    estimates: list[Tensor],
    sigma_next: float,
    variant: str,
    arrived: Tensor | None = None,
) -> Tensor:
    """Step from ``levels[-1]`` to ``sigma_next``: the corrector with ``arrived``, the estimate at its end, else the predictor."""
    sigma, denoised = levels[-1], estimates[-1]
    x = exponential_step(x, denoised, sigma, sigma_next)
    h = math.log(sigma / sigma_next)
    ratios = [math.log(sigma / level) / h for level in levels[:-1]][::-1]
    differences = [(old - denoised) / ratio for old, ratio in zip(estimates[:-1][::-1], ratios, strict=True)]
    if arrived is not None:
        ratios, differences = [*ratios, 1.0], [*differences, arrived - denoised]
    for weight, difference in zip(_weights(ratios, h, variant), differences, strict=True):
        x = x + weight * difference
    return x


def _weights(ratios: list[float], h: float, variant: str) -> list[float]:
    """Return the weights of the differences: the solution of the paper's linear system.

    B(h) cancels, except in the simplified weight of bh1 and bh2 with a single difference.
    """
    if not ratios:
        return []
    if len(ratios) == 1 and variant != UNSIMPLIFIED:
        return [0.5 * (h if variant == "bh1" else -math.expm1(-h))]
    rows = [[ratio**power for ratio in ratios] for power in range(len(ratios))]
    solution = torch.linalg.solve(torch.tensor(rows, dtype=torch.float64), _series(len(ratios), h))
    return solution.tolist()


def _series(order: int, h: float) -> Tensor:
    """Return the right-hand side of the linear system without the factor 1 / B(h), float64, shape (order,)."""
    terms, phi, factorial = [], math.expm1(-h) / -h - 1, 1
    for power in range(1, order + 1):
        factorial *= power
        terms.append(-phi * factorial)
        phi = phi / -h - 1 / (factorial * (power + 1))
    return torch.tensor(terms, dtype=torch.float64)
