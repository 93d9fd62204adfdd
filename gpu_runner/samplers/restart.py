"""Restart: Heun's steps, and near the end some way back up into the noise and down again.

After Xu et al., "Restart Sampling for Improving Generative Processes" (2023).
"""

from __future__ import annotations

import math

from torch import Tensor

from gpu_runner.protocol.schedules.restart import stretches

from .common_steps import SamplerOptions, Walk, heun_step
from .noise import NoiseStream


def restart(x: Tensor, sigmas: list[float], noise: NoiseStream, options: SamplerOptions) -> Walk:
    reached = sigmas[0]
    for sigma, following in stretches(sigmas):
        if sigma > reached:
            x = x + noise.draw() * math.sqrt(sigma**2 - reached**2)
        x = yield from heun_step(x, sigma, following)
        reached = following
    return x
