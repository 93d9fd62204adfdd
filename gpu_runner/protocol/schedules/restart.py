"""Steps of the Restart sampler, with A1111's choice of restart intervals. No torch.

Xu et al. (2023), "Restart Sampling for Improving Generative Processes".
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

MIN_STEPS = 20  # no restart below this number of steps
MIN_STEPS_FOR_TWO = 36  # two restarts from this number on
SIGMA_LOW, SIGMA_HIGH = 0.1, 2.0  # restart interval; the nearest sigmas of the schedule are used
RHO = 7.0  # of the Karras schedule


def restart_steps(sigmas: list[float]) -> list[tuple[float, float]]:
    """Return the denoising steps as (sigma, next sigma), in order. A step that starts above the last end is a restart.

    The number of steps stays that of ``sigmas``: the steps inside restarts are taken from the main schedule.
    """
    steps = len(sigmas) - 1
    if steps < MIN_STEPS:
        return list(pairwise(sigmas))
    length, times = (steps // 4, 2) if steps >= MIN_STEPS_FOR_TWO else (9, 1)
    sigmas = [*_karras(steps - length * times, sigmas[0], sigmas[-2]), 0.0]
    bottom, top = _nearest(sigmas, SIGMA_LOW), _nearest(sigmas, SIGMA_HIGH)
    if top >= bottom:
        return list(pairwise(sigmas))
    again = list(pairwise(_karras(length + 1, sigmas[top], sigmas[bottom])))
    return [*pairwise(sigmas[: bottom + 1]), *again * times, *pairwise(sigmas[bottom:])]


def _nearest(sigmas: list[float], wanted: float) -> int:
    return min(range(len(sigmas)), key=lambda index: abs(sigmas[index] - wanted))


def _karras(count: int, high: float, low: float) -> list[float]:
    return (np.linspace(high ** (1 / RHO), low ** (1 / RHO), count) ** RHO).tolist()
