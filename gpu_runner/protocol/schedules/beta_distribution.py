"""Quantiles of the beta distribution."""

from __future__ import annotations

import numpy as np

CELLS = 50_000


class Half:
    """The integral of x**(a - 1) * (1 - x)**(b - 1) from 0 to 1/2, over x**a."""

    def __init__(self, a: float, b: float) -> None:
        self.roots = np.linspace(0, 0.5**a, CELLS + 1)
        middles = (self.roots[1:] + self.roots[:-1]) / 2
        density = (1 - middles ** (1 / a)) ** (b - 1) / a
        self.mass = np.concatenate(([0.0], np.cumsum(density * np.diff(self.roots))))


def beta_quantiles(probabilities: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    """By integrating the density over each half in a measure in which it has no pole at its end."""
    lower, upper = Half(alpha, beta), Half(beta, alpha)
    below = lower.mass[-1] / (lower.mass[-1] + upper.mass[-1])
    from_below = np.interp(probabilities / below, lower.mass / lower.mass[-1], lower.roots)
    from_above = np.interp((1 - probabilities) / (1 - below), upper.mass / upper.mass[-1], upper.roots)
    return np.where(probabilities < below, from_below ** (1 / alpha), 1 - from_above ** (1 / beta))
