"""Quantiles of the beta distribution (inverse CDF), without SciPy."""

from __future__ import annotations

import numpy as np

CELLS = 50_000  # of the numerical integration


class HalfIntegral:
    """Cumulative integral of x**(a - 1) * (1 - x)**(b - 1) over x from 0 to 1/2, by the midpoint rule in u = x**a.

    The substitution removes the pole at x = 0 for a < 1.
    """

    def __init__(self, a: float, b: float) -> None:
        self.roots = np.linspace(0, 0.5**a, CELLS + 1)
        middles = (self.roots[1:] + self.roots[:-1]) / 2
        density = (1 - middles ** (1 / a)) ** (b - 1) / a
        self.mass = np.concatenate(([0.0], np.cumsum(density * np.diff(self.roots))))


def beta_quantiles(probabilities: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    """Return the quantiles of Beta(alpha, beta) at ``probabilities`` (0 to 1), like ``scipy.stats.beta.ppf``. Same shape."""
    lower, upper = HalfIntegral(alpha, beta), HalfIntegral(beta, alpha)
    below = lower.mass[-1] / (lower.mass[-1] + upper.mass[-1])
    from_below = np.interp(probabilities / below, lower.mass / lower.mass[-1], lower.roots)
    from_above = np.interp((1 - probabilities) / (1 - below), upper.mass / upper.mass[-1], upper.roots)
    return np.where(probabilities < below, from_below ** (1 / alpha), 1 - from_above ** (1 / beta))
