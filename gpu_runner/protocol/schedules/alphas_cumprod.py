"""Which share of the signal is left at each of the timesteps that a model was trained on. No torch."""

from __future__ import annotations

import numpy as np

ALMOST_NOTHING = 4.8973451890853435e-08  # of the signal, at the end that has none: A1111 divides by it, too


def alphas_cumprod() -> np.ndarray:
    """Stable Diffusion's schedule, "scaled linear": every released checkpoint was trained on it, or on its rescaling."""
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    return np.cumprod(1.0 - betas)


def with_zero_terminal_snr(alphas: np.ndarray) -> np.ndarray:
    """Rescaled so that the last timestep is noise alone: Lin et al. 2023, "Common Diffusion Noise Schedules and Sample
    Steps are Flawed", algorithm 1."""
    roots = np.sqrt(alphas)
    roots = (roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])
    return np.append(roots[:-1] ** 2, ALMOST_NOTHING)
