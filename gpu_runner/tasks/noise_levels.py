"""Noise levels that a checkpoint denoises from, for one image size and number of steps."""

from __future__ import annotations

from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.protocol.schedules.flow_levels import FlowLevels
from gpu_runner.protocol.schedules.sigmas import NoiseLevels


def noise_levels(model: LoadedCheckpoint, width: int, height: int, steps: int) -> NoiseLevels:
    """Levels of the training schedule of a diffusion model, or of a flow shifted for this size in pixels."""
    if model.facts.flow is not None:
        return FlowLevels.of(model.facts, width, height, steps)
    assert model.alphas_cumprod is not None
    return NoiseLevels(model.alphas_cumprod, is_sdxl=model.is_sdxl)
