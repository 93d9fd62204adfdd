"""Restart: Heun's steps, and near the end some way back up into the noise and down again.

After Xu et al., "Restart Sampling for Improving Generative Processes" (2023), with A1111's choice of the restarts.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from torch import Tensor

from gpu_runner.noise import NoiseStream
from gpu_runner.samplers.steps import SamplerOptions, Walk, heun_step

FEWEST_STEPS = 20  # with fewer there is no restart
STEPS_FOR_TWO = 36
BOTTOM, TOP = 0.1, 2.0  # between which sigmas it restarts, as near as the schedule comes to them
RHO = 7.0


def restart(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> Walk:
    reached = sigmas[0]
    for sigma, following in stretches(sigmas):
        if sigma > reached:
            x = x + noise.draw() * math.sqrt(sigma**2 - reached**2)
        x = yield from heun_step(x, sigma, following)
        reached = following
    return x


def stretches(sigmas: list[float]) -> list[tuple[float, float]]:
    """The steps down, in order. The restarts' own are taken from the number that was asked for."""
    steps = len(sigmas) - 1
    if steps < FEWEST_STEPS:
        return list(pairwise(sigmas))
    length, times = (steps // 4, 2) if steps >= STEPS_FOR_TWO else (9, 1)
    sigmas = [*_karras(steps - length * times, sigmas[0], sigmas[-2]), 0.0]
    bottom, top = _nearest(sigmas, BOTTOM), _nearest(sigmas, TOP)
    if top >= bottom:
        return list(pairwise(sigmas))
    again = list(pairwise(_karras(length + 1, sigmas[top], sigmas[bottom])))
    return [*pairwise(sigmas[: bottom + 1]), *again * times, *pairwise(sigmas[bottom:])]


def _nearest(sigmas: list[float], wanted: float) -> int:
    return min(range(len(sigmas)), key=lambda index: abs(sigmas[index] - wanted))


def _karras(count: int, high: float, low: float) -> list[float]:
    return (np.linspace(high ** (1 / RHO), low ** (1 / RHO), count) ** RHO).tolist()
