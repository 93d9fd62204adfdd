"""UniPC on the data prediction, multistep: Zhao et al., "UniPC: A Unified Predictor-Corrector Framework" (2023)."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from .common_steps import SamplerOptions, Walk, exponential_step
from .noise import NoiseStream

UNSIMPLIFIED = "vary_coeff"


def unipc(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> Walk:
    """Of lower order at the start, and at the end unless told otherwise.

    Each model call serves twice: it corrects the step that led there, then predicts the next one.
    """
    highest, variant = options.unipc.order, options.unipc.variant
    levels: list[float] = []
    estimates: list[Tensor] = []
    before, order = x, 0
    for step, (sigma, following) in enumerate(pairwise(sigmas)):
        denoised = yield x, sigma
        if step > 0:
            x = _step(before, levels[-order:], estimates[-order:], sigma, variant, denoised)
        levels, estimates = [*levels, sigma][-highest:], [*estimates, denoised][-highest:]
        left = len(sigmas) - 1 - step if options.unipc.lower_order_final else highest
        order = min(highest, step + 1, left)
        before, x = x, _step(x, levels[-order:], estimates[-order:], following, variant)
    return x


def _step(
    x: Tensor,
    levels: list[float],
    estimates: list[Tensor],
    following: float,
    variant: str,
    arrived: Tensor | None = None,
) -> Tensor:
    """From ``levels[-1]`` to ``following``. With ``arrived``, the estimate made there, it corrects; without, it predicts."""
    sigma, denoised = levels[-1], estimates[-1]
    x = exponential_step(x, denoised, sigma, following)
    h = math.log(sigma / following)
    ratios = [math.log(sigma / level) / h for level in levels[:-1]][::-1]
    differences = [(old - denoised) / ratio for old, ratio in zip(estimates[:-1][::-1], ratios, strict=True)]
    if arrived is not None:
        ratios, differences = [*ratios, 1.0], [*differences, arrived - denoised]
    for weight, difference in zip(_weights(ratios, h, variant), differences, strict=True):
        x = x + weight * difference
    return x


def _weights(ratios: list[float], h: float, variant: str) -> list[float]:
    """Solves for the weights that match the exponential integrator's series up to the order at hand.

    The papers' B(h) cancels in them, but for the simplification of bh1 and bh2 where only one difference is known.
    """
    if not ratios:
        return []
    if len(ratios) == 1 and variant != UNSIMPLIFIED:
        return [0.5 * (h if variant == "bh1" else -math.expm1(-h))]
    rows = [[ratio**power for ratio in ratios] for power in range(len(ratios))]
    solution = torch.linalg.solve(torch.tensor(rows, dtype=torch.float64), _series(len(ratios), h))
    return solution.tolist()


def _series(order: int, h: float) -> Tensor:
    terms, phi, factorial = [], math.expm1(-h) / -h - 1, 1
    for power in range(1, order + 1):
        factorial *= power
        terms.append(-phi * factorial)
        phi = phi / -h - 1 / (factorial * (power + 1))
    return torch.tensor(terms, dtype=torch.float64)
