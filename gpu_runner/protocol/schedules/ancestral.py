"""The arithmetic of steps that draw fresh noise. No torch."""

from __future__ import annotations

import math


def ancestral_split(sigma: float, following: float, eta: float) -> tuple[float, float]:
    """Down to which sigma to denoise, and how much fresh noise then leads up to the following one."""
    up = min(following, eta * math.sqrt(following**2 * (sigma**2 - following**2) / sigma**2))
    return math.sqrt(following**2 - up**2), up
