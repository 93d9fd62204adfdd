"""The autoencoder of the flow-matching model: the demo's autoencoder with 16 latent channels, computed, not trained.

The four whitened channels of the demo's latents are embedded into 16 by an isometry, so that every channel carries signal.
The 1x1 convolutions around the latents, which Stable Diffusion 3 does not have, are folded into their neighbors.
"""

from __future__ import annotations

import math

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from demo.data.latents import SCALING, white_vae
from demo.flow_matching.architecture import FLOW_VAE_CONFIG, LATENT_CHANNELS, new_flow_vae

FLOW_SCALING, FLOW_SHIFT = FLOW_VAE_CONFIG["scaling_factor"], FLOW_VAE_CONFIG["shift_factor"]
SIGNAL_SCALE = 2.0  # gives each of the 16 channels a standard deviation of about 1


def embedding() -> Tensor:
    """(16, 4) with orthonormal columns of equal magnitude: columns of a Hadamard matrix."""
    hadamard = torch.ones(1, 1)
    while len(hadamard) < LATENT_CHANNELS:
        hadamard = torch.cat([torch.cat([hadamard, hadamard], 1), torch.cat([hadamard, -hadamard], 1)])
    return hadamard[:, 1:5] / math.sqrt(LATENT_CHANNELS)


def widen(latents: Tensor) -> Tensor:
    """Scaled latents (n, 4, h, w) of the demo's autoencoder -> scaled latents (n, 16, h, w) of ``flow_vae``."""
    return SIGNAL_SCALE * torch.einsum("oc,nchw->nohw", embedding(), latents)


@torch.no_grad()
def flow_vae() -> AutoencoderKL:
    source, vae = white_vae(), new_flow_vae().eval().requires_grad_(False)
    inner = {
        name: tensor
        for name, tensor in source.state_dict().items()
        if not name.startswith(("quant_conv", "post_quant_conv", "encoder.conv_out", "decoder.conv_in"))
    }
    vae.load_state_dict(inner, strict=False)

    # raw16 = SIGNAL_SCALE / FLOW_SCALING * embedding @ (SCALING * raw4) + FLOW_SHIFT
    forward = SIGNAL_SCALE * SCALING / FLOW_SCALING * embedding()
    quant, conv_out = source.quant_conv, source.encoder.conv_out
    mean = quant.weight[:4, :, 0, 0]
    target = vae.encoder.conv_out
    target.weight[:LATENT_CHANNELS] = torch.einsum("oc,cm,mihw->oihw", forward, mean, conv_out.weight)
    target.bias[:LATENT_CHANNELS] = forward @ (mean @ conv_out.bias + quant.bias[:4]) + FLOW_SHIFT
    target.weight[LATENT_CHANNELS:] = 0
    target.bias[LATENT_CHANNELS:] = quant.bias[4] + 2 * math.log(forward.abs().max().item())

    # raw4 = backward @ (raw16 - FLOW_SHIFT); the columns of the embedding sum to 0, so the shift vanishes
    backward = FLOW_SCALING / (SIGNAL_SCALE * SCALING) * embedding().T
    post, conv_in = source.post_quant_conv, source.decoder.conv_in
    entry = torch.einsum("om,mc->oc", post.weight[:, :, 0, 0], backward)
    vae.decoder.conv_in.weight[:] = torch.einsum("imhw,mc->ichw", conv_in.weight, entry)
    vae.decoder.conv_in.bias[:] = conv_in.bias + torch.einsum("imhw,m->i", conv_in.weight, post.bias)
    return vae
