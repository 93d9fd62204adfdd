"""Where the sampler Restart goes back up into the noise, with A1111's choice of the restarts. No torch."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

FEWEST_STEPS = 20  # with fewer there is no restart
STEPS_FOR_TWO = 36
BOTTOM, TOP = 0.1, 2.0  # between which sigmas it restarts, as near as the schedule comes to them
RHO = 7.0


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
