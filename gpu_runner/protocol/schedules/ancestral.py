"""Ancestral step sizes. No torch."""

from __future__ import annotations

import math


def ancestral_step(sigma: float, sigma_next: float, eta: float) -> tuple[float, float]:
    """Return (sigma_down, sigma_up) of an ancestral step: denoise to sigma_down, then add noise of deviation sigma_up.

    k-diffusion's ``get_ancestral_step``; sigma_down**2 + sigma_up**2 == sigma_next**2. ``eta`` 0 gives a deterministic step.
    """
    up = min(sigma_next, eta * math.sqrt(sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2))
    return math.sqrt(sigma_next**2 - up**2), up


def flow_ancestral_step(t: float, t_next: float, eta: float) -> tuple[float, float, float]:
    """Return (t_down, scale, up) of an ancestral step of rectified flow: denoise to t_down, multiply by ``scale``, then
    add noise of deviation ``up``. ``eta`` 0 gives a deterministic step.

    ComfyUI's ``sample_euler_ancestral_RF``. x at ``t_next`` has the image's share 1 - t_next, and noise of that deviation.
    """
    down = max(t_next * (1 + (t_next / t - 1) * eta), 0.0)
    scale = (1 - t_next) / (1 - down)
    return down, scale, math.sqrt(max(t_next**2 - (down * scale) ** 2, 0.0))
