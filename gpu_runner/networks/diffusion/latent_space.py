"""Latents of a VAE and of the denoiser: scaled, or with those of FLUX.2 packed and normalized channel by channel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gpu_runner.networks.loaded import LoadedCheckpoint

FLUX2 = "flux2"


def normalized(checkpoint: LoadedCheckpoint, latents: Tensor) -> Tensor:
    """Latents of the VAE, (images, channels, h, w), as the denoiser takes them."""
    if checkpoint.facts.latents.vae != FLUX2:
        return (latents - checkpoint.vae_shift) * checkpoint.vae_scaling
    mean, deviation = _statistics(checkpoint.vae)
    return (functional.pixel_unshuffle(latents, 2) - mean) / deviation


def denormalized(checkpoint: LoadedCheckpoint, latents: Tensor) -> Tensor:
    """Inverse of ``normalized``."""
    if checkpoint.facts.latents.vae != FLUX2:
        return latents / checkpoint.vae_scaling + checkpoint.vae_shift
    mean, deviation = _statistics(checkpoint.vae)
    return functional.pixel_shuffle(latents * deviation + mean, 2)


def _statistics(vae: Any) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each packed channel: those of the VAE's batch norm."""
    mean, variance = (value.float()[:, None, None] for value in (vae.bn.running_mean, vae.bn.running_var))
    return mean, torch.sqrt(variance + vae.config.batch_norm_eps)
