"""Between pixels and latents, and a cheap look at latents for previews."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.protocol.errors import NonFiniteOutput

PROJECTION_PATCHES = 8  # a side


@torch.inference_mode()
def encode(checkpoint: LoadedCheckpoint, pictures: Sequence[Tensor]) -> list[Tensor]:
    """The most likely latent of each picture, not a draw: the same picture is always the same latent."""
    vae = checkpoint.vae
    pixels = torch.stack(list(pictures)).to(vae.device, vae.dtype)
    return list((vae.encode(pixels).latent_dist.mode().float() * checkpoint.vae_scaling).unbind())


@torch.inference_mode()
def decode(checkpoint: LoadedCheckpoint, latents: Sequence[Tensor]) -> list[Tensor]:
    vae = checkpoint.vae
    x = (torch.stack(list(latents)) / checkpoint.vae_scaling).to(vae.dtype)
    pictures = vae.decode(x, return_dict=False)[0].float()
    if not torch.isfinite(pictures).all():
        raise NonFiniteOutput("the model produced a picture that is not made of numbers")
    return list(pictures.unbind())


class Projection:
    """A linear guess of each latent pixel's colour, fitted once for a checkpoint to what its own VAE makes of flat patches."""

    def __init__(self, checkpoint: LoadedCheckpoint) -> None:
        patches = torch.randn(
            4, PROJECTION_PATCHES, PROJECTION_PATCHES, generator=torch.Generator().manual_seed(0)
        )
        blocks = patches.repeat_interleave(4, 1).repeat_interleave(4, 2).to(checkpoint.vae.device)
        colours = torch.nn.functional.adaptive_avg_pool2d(decode(checkpoint, [blocks])[0], PROJECTION_PATCHES)
        known = _with_constant(patches).flatten(1).T
        self._weights = torch.linalg.lstsq(known, colours.cpu().flatten(1).T).solution.T

    def colours(self, latent: Tensor) -> Tensor:
        """(3, h, w) for (4, h, w)."""
        return torch.einsum("ck,khw->chw", self._weights, _with_constant(latent.float().cpu()))


def _with_constant(latent: Tensor) -> Tensor:
    return torch.cat([latent, torch.ones_like(latent[:1])])
