"""A Brownian path over sigma, for the samplers that solve a stochastic equation.

The same seed gives the same path however many steps look at it, and in whatever order: between two points that are
known, a third follows the Brownian bridge, with a normal of its own that only its place in the tree decides.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

DEPTH = 14  # a leaf spans less than a thousandth of its sigma
WORD = 2**64 - 1


class BrownianPath:
    """Zero at ``low``. The tree halves the logarithm of sigma, as the steps do."""

    def __init__(
        self, seed: int, shape: tuple[int, ...], low: float, high: float, device: torch.device
    ) -> None:
        self._seed, self._shape, self._device = seed, shape, device
        self._low, self._high = low, high
        self._held: dict[
            int, Tensor
        ] = {}  # what the last look passed through: the next begins where it ended

    def unit(self, sigma: float, following: float) -> Tensor:
        """The path's way between two sigmas, scaled to variance 1."""
        passed: dict[int, Tensor] = {}
        way = self._at(sigma, passed) - self._at(following, passed)
        self._held = passed
        return (way / math.sqrt(sigma - following)).to(self._device)

    def _at(self, time: float, passed: dict[int, Tensor]) -> Tensor:
        time = min(max(time, self._low), self._high)
        left, right, node = self._low, self._high, 1
        at_left = torch.zeros(self._shape)
        at_right = self._normal(0) * math.sqrt(right - left)
        for _ in range(DEPTH):
            middle = math.sqrt(left * right)
            if node not in passed:
                held = self._held.get(node)
                passed[node] = (
                    self._bridge(node, left, right, at_left, at_right, middle) if held is None else held
                )
            if time <= middle:
                right, at_right, node = middle, passed[node], 2 * node
            else:
                left, at_left, node = middle, passed[node], 2 * node + 1
        return self._bridge(node, left, right, at_left, at_right, time)

    def _bridge(
        self, node: int, left: float, right: float, at_left: Tensor, at_right: Tensor, time: float
    ) -> Tensor:
        if right <= left:
            return at_right
        share = (time - left) / (right - left)
        mean = torch.lerp(at_left, at_right, share)
        return mean + self._normal(node) * math.sqrt(max(share * (1 - share) * (right - left), 0.0))

    def _normal(self, node: int) -> Tensor:
        generator = torch.Generator("cpu").manual_seed(_mixed(self._seed, node))
        return torch.randn(self._shape, generator=generator)


def _mixed(seed: int, node: int) -> int:
    """Spreads neighbours over all 64 bits: the finish of SplitMix64 (Steele et al., 2014)."""
    word = (seed * 0x9E3779B97F4A7C15 + node * 0xD1342543DE82EF95 + 0x632BE59BD9B4E019) & WORD
    word = ((word ^ word >> 30) * 0xBF58476D1CE4E5B9) & WORD
    word = ((word ^ word >> 27) * 0x94D049BB133111EB) & WORD
    return word ^ word >> 31
