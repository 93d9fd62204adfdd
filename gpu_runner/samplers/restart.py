"""Restart sampler: Heun steps, with restarts that add noise near the end and denoise again.

Xu et al. (2023), "Restart Sampling for Improving Generative Processes", with A1111's restart intervals.
"""

from __future__ import annotations

import math

from torch import Tensor

from gpu_runner.protocol.schedules.restart import restart_steps

from .common_steps import SamplerGenerator, SamplerOptions, heun_step
from .noise import NoiseStream

ROUNDING = 1e-6  # relative; levels of two schedules that are the same but for rounding are no restart


def restart(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> SamplerGenerator:
    """A1111's ``restart_sampler``. The steps are those of ``restart_steps(sigmas)``."""
    steps = restart_steps(sigmas)
    reached = steps[0][0] if steps else 0.0
    for sigma, sigma_next in steps:
        if sigma > reached * (1 + ROUNDING):
            x = x + noise.draw() * math.sqrt(sigma**2 - reached**2)
        x = yield from heun_step(x, sigma, sigma_next)
        reached = sigma_next
    return x
