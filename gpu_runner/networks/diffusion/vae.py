"""VAE encode and decode, and a linear latent-to-RGB preview."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers import AutoencoderKLQwenImage
from torch import Tensor

from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.protocol.errors import NonFiniteOutput

from .latent_space import denormalized, normalized

PROJECTION_PATCHES = 8  # patches per side


@torch.inference_mode()
def encode(checkpoint: LoadedCheckpoint, images: Sequence[Tensor]) -> list[Tensor]:
    """Encode images of (3, height, width), in [-1, 1], all of the same size.

    Uses the mode of the latent distribution instead of a sample, so the result is deterministic.
    """
    vae = checkpoint.vae
    pixels = torch.stack(list(images)).to(vae.device, vae.dtype)
    if is_of_video(vae):
        latents = vae.encode(pixels[:, :, None]).latent_dist.mode()[:, :, 0].float()
    else:
        latents = vae.encode(pixels).latent_dist.mode().float()
    return list(normalized(checkpoint, latents).unbind())


@torch.inference_mode()
def decode(checkpoint: LoadedCheckpoint, latents: Sequence[Tensor]) -> list[Tensor]:
    """Decode latents of the same shape to pixels in about [-1, 1].

    Raises NonFiniteOutput if the output contains NaN or infinity.
    """
    vae = checkpoint.vae
    x = denormalized(checkpoint, torch.stack(list(latents))).to(vae.dtype)
    if is_of_video(vae):
        images = vae.decode(x[:, :, None], return_dict=False)[0][:, :, 0].float()
    else:
        images = vae.decode(x, return_dict=False)[0].float()
    if not torch.isfinite(images).all():
        raise NonFiniteOutput("the VAE produced NaN values")
    return list(images.unbind())


def is_of_video(vae: object) -> bool:
    """Whether images are frames for it, as for the VAE of Qwen-Image."""
    return isinstance(vae, AutoencoderKLQwenImage)


class Projection:
    """Linear approximation of the VAE decoder for previews: one RGB color per latent pixel.

    Fitted once per VAE by least squares to its output for random constant patches.
    """

    def __init__(self, checkpoint: LoadedCheckpoint) -> None:
        shape = checkpoint.facts.latents.channels, PROJECTION_PATCHES, PROJECTION_PATCHES
        patches = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        blocks = patches.repeat_interleave(4, 1).repeat_interleave(4, 2).to(checkpoint.vae.device)
        colors = torch.nn.functional.adaptive_avg_pool2d(decode(checkpoint, [blocks])[0], PROJECTION_PATCHES)
        known = _with_constant(patches).flatten(1).T
        self._weights = torch.linalg.lstsq(known, colors.cpu().flatten(1).T).solution.T

    def to_rgb(self, latent: Tensor) -> Tensor:
        """Convert a latent of (c, h, w) to RGB of (3, h, w)."""
        return torch.einsum("ck,khw->chw", self._weights, _with_constant(latent.float().cpu()))


def _with_constant(latent: Tensor) -> Tensor:
    return torch.cat([latent, torch.ones_like(latent[:1])])
