"""Detects the prediction type of a Stable Diffusion 2 UNet whose file does not declare it.

Uses the test of A1111 (``is_using_v_parameterization_for_sd2``): at the last timestep the input is nearly pure noise.
An epsilon UNet returns about its input; a v-prediction UNet (Salimans and Ho 2022) returns a clearly smaller mean.
"""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel

LAST_TIMESTEP = 999


@torch.no_grad()
def detect_prediction_type(unet: UNet2DConditionModel) -> str:
    """Return the diffusers prediction type: ``epsilon`` or ``v_prediction``."""
    weight = unet.conv_in.weight
    if weight.shape[1] != 4:  # all inpainting and depth models predict epsilon
        return "epsilon"
    latent = torch.full((1, 4, 8, 8), 0.5, dtype=weight.dtype, device=weight.device)
    context = latent.new_full((1, 2, unet.config.cross_attention_dim), 0.5)
    difference = unet(latent, LAST_TIMESTEP, encoder_hidden_states=context, return_dict=False)[0] - latent
    return "v_prediction" if float(difference.float().mean()) < -1 else "epsilon"
