"""What a Stable Diffusion 2 UNet predicts when its file does not say so: the noise, or the velocity.

A1111's test: shown nearly pure noise, a UNet that predicts noise gives back what it was shown, and one that predicts the
velocity (Salimans and Ho 2022) what it takes away from it.
"""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel

LAST_TIMESTEP = 999


@torch.no_grad()
def probed(unet: UNet2DConditionModel) -> str:
    """diffusers' word for it."""
    weight = unet.conv_in.weight
    if weight.shape[1] != 4:  # those made for inpainting and depth were all trained to predict noise
        return "epsilon"
    shown = torch.full((1, 4, 8, 8), 0.5, dtype=weight.dtype, device=weight.device)
    text = shown.new_full((1, 2, unet.config.cross_attention_dim), 0.5)
    difference = unet(shown, LAST_TIMESTEP, encoder_hidden_states=text, return_dict=False)[0] - shown
    return "v_prediction" if float(difference.float().mean()) < -1 else "epsilon"
