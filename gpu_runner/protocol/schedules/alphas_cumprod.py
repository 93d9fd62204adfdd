"""Cumulative product of alphas (the signal's share of the variance) per training timestep. No torch."""

from __future__ import annotations

import numpy as np

# Used instead of 0 at the last timestep, as in A1111, so that sigma stays finite.
LAST_ALPHA = 4.8973451890853435e-08


def alphas_cumprod() -> np.ndarray:
    """Return Stable Diffusion's "scaled linear" schedule (diffusers' beta_schedule="scaled_linear"), shape (1000,)."""
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    return np.cumprod(1.0 - betas)


def with_zero_terminal_snr(alphas: np.ndarray) -> np.ndarray:
    """Return the schedule rescaled to zero terminal SNR, same shape.

    Lin et al. (2023), "Common Diffusion Noise Schedules and Sample Steps are Flawed", algorithm 1. The last value is
    LAST_ALPHA instead of 0.
    """
    roots = np.sqrt(alphas)
    roots = (roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])
    return np.append(roots[:-1] ** 2, LAST_ALPHA)
