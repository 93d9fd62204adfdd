"""Latents of a VAE and of the denoiser: scaled, or those of FLUX.2 and Qwen-Image normalized channel by channel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gpu_runner.networks.loaded import LoadedCheckpoint

FLUX2, QWEN_IMAGE = "flux2", "qwen_image"


def normalized(checkpoint: LoadedCheckpoint, latents: Tensor) -> Tensor:
    """Latents of the VAE, (images, channels, h, w), as the denoiser takes them."""
    if checkpoint.facts.latents.vae not in (FLUX2, QWEN_IMAGE):
        return (latents - checkpoint.vae_shift) * checkpoint.vae_scaling
    mean, deviation = _statistics(checkpoint.vae)
    packed = functional.pixel_unshuffle(latents, 2) if checkpoint.facts.latents.vae == FLUX2 else latents
    return (packed - mean) / deviation


def denormalized(checkpoint: LoadedCheckpoint, latents: Tensor) -> Tensor:
    """Inverse of ``normalized``."""
    if checkpoint.facts.latents.vae not in (FLUX2, QWEN_IMAGE):
        return latents / checkpoint.vae_scaling + checkpoint.vae_shift
    mean, deviation = _statistics(checkpoint.vae)
    unpacked = latents * deviation + mean
    return functional.pixel_shuffle(unpacked, 2) if checkpoint.facts.latents.vae == FLUX2 else unpacked


def _statistics(vae: Any) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each channel: of FLUX.2, those of the VAE's batch norm."""
    if not hasattr(vae, "bn"):
        device = next(vae.parameters()).device
        numbers = (
            torch.tensor(one, device=device) for one in (vae.config.latents_mean, vae.config.latents_std)
        )
        mean, deviation = (one[:, None, None] for one in numbers)
        return mean, deviation
    mean, variance = (value.float()[:, None, None] for value in (vae.bn.running_mean, vae.bn.running_var))
    return mean, torch.sqrt(variance + vae.config.batch_norm_eps)
