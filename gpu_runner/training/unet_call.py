"""The UNet call of a training step or a sample."""

from __future__ import annotations

import torch
from torch import Tensor

from gpu_runner.networks.loaded import LoadedCheckpoint

LATENT_SCALE = 8


def predict(
    checkpoint: LoadedCheckpoint, noisy: Tensor, timesteps: Tensor, context: Tensor, pooled: Tensor | None
) -> Tensor:
    """The UNet's prediction (n, 4, h, w). SDXL is told that the image has its full size and no crop."""
    added = None
    if pooled is not None:
        height, width = (side * LATENT_SCALE for side in noisy.shape[-2:])
        time_ids = torch.tensor([[height, width, 0, 0, height, width]], device=noisy.device)
        added = {"text_embeds": pooled, "time_ids": time_ids.expand(len(noisy), -1).to(pooled.dtype)}
    with torch.autocast(noisy.device.type, checkpoint.dtype, enabled=checkpoint.dtype != torch.float32):
        return checkpoint.unet(noisy, timesteps, context, added_cond_kwargs=added, return_dict=False)[0]
