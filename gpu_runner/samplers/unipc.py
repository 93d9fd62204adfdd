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

    As in the reference implementation, the order is lowered at the end only once it has been reached. Each evaluation is used twice: to correct the step that led to it, and to predict the next one.
    """
    count, variant = len(sigmas) - 1, options.unipc.variant
    highest = min(options.unipc.order, count)
    levels: list[float] = []
    estimates: list[Tensor] = []
    before, order = x, 0
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield x, sigma
        if step > 0:
            x = _step(before, levels[-order:], estimates[-order:], sigma, variant, denoised)
        levels, estimates = [*levels, sigma][-highest:], [*estimates, denoised][-highest:]
        order = min(highest, step + 1)
        if order == highest and options.unipc.lower_order_final:
            order = min(highest, count - step)
        if sigma_next == 0:  # only with schedules of other samplers: the limit of the step of order 1
            return denoised
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
    weights = _weights
    if arrived is not None:
        ratios, differences = [*ratios, 1.0], [*differences, arrived - denoised]
        if variant == UNSIMPLIFIED:
            weights = _unsimplified_corrector_weights
    for weight, difference in zip(weights(ratios, h, variant), differences, strict=True):
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
    return torch.linalg.solve(_powers(ratios).T, _series(len(ratios), h)).tolist()


def _unsimplified_corrector_weights(ratios: list[float], h: float, variant: str) -> list[float]:
    """Return the weights of the corrector of "vary_coeff" as the reference implementation computes them.

    They differ from the paper: the sums lack their last term, and the weight of the new estimate is one term of the sum
    before. A1111 has the same code, so its images depend on it.
    """
    count = len(ratios)
    if count == 1:
        return _weights(ratios, h, variant)
    inverse, terms = torch.linalg.inv(_powers(ratios)), _series(count, h)
    weights = terms[:-1] @ inverse[:-1]
    weights[-1] = terms[-1] / count * inverse[-2, -1]
    return weights.tolist()


def _powers(ratios: list[float]) -> Tensor:
    """Vandermonde matrix of the ratios, float64: a row per ratio, its powers from 0."""
    rows = [[ratio**power for power in range(len(ratios))] for ratio in ratios]
    return torch.tensor(rows, dtype=torch.float64)


def _series(order: int, h: float) -> Tensor:
    """Return the right-hand side of the linear system without the factor 1 / B(h), float64, shape (order,)."""
    terms, phi, factorial = [], math.expm1(-h) / -h - 1, 1
    for power in range(1, order + 1):
        factorial *= power
        terms.append(-phi * factorial)
        phi = phi / -h - 1 / (factorial * (power + 1))
    return torch.tensor(terms, dtype=torch.float64)
