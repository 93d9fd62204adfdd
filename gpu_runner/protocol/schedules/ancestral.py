"""Ancestral step sizes. No torch."""

from __future__ import annotations

import math


def ancestral_step(sigma: float, sigma_next: float, eta: float) -> tuple[float, float]:
    """Return (sigma_down, sigma_up) of an ancestral step: denoise to sigma_down, then add noise of deviation sigma_up.

    k-diffusion's ``get_ancestral_step``; sigma_down**2 + sigma_up**2 == sigma_next**2. ``eta`` 0 gives a deterministic step.
    """
    up = min(sigma_next, eta * math.sqrt(sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2))
    return math.sqrt(sigma_next**2 - up**2), up
