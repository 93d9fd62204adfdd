"""Conversion of tensor names between the LDM layout of single-file checkpoints and diffusers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

from gpu_runner.protocol.model_detection.ldm_modules import (
    CLIP_PREFIX,
    UNET_PREFIX,
    VAE_PREFIX,
    Pair,
    controlnet_pairs,
    unet_pairs,
    vae_pairs,
)

__all__ = [
    "CLIP_PREFIX",
    "UNET_PREFIX",
    "VAE_PREFIX",
    "Pair",
    "controlnet_pairs",
    "from_diffusers",
    "reshaped",
    "to_diffusers",
    "unet_pairs",
    "vae_pairs",
]


def reshaped(tensor: Tensor, like: Tensor | None) -> Tensor:
    """Reshape between 1x1 convolution and linear weights, which files use interchangeably."""
    return tensor if like is None or tensor.numel() != like.numel() else tensor.reshape(like.shape)


def to_diffusers(
    state: Mapping[str, Tensor], prefix: str, pairs: Iterable[Pair], like: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Rename the tensors under ``prefix`` and reshape them as in ``like``. KeyError if one is missing."""
    result = {}
    for ldm, diffusers in pairs:
        for kind in ("weight", "bias"):
            if f"{diffusers}.{kind}" in like:
                tensor = state[f"{prefix}{ldm}.{kind}"]
                result[f"{diffusers}.{kind}"] = reshaped(tensor, like[f"{diffusers}.{kind}"])
    return result


def from_diffusers(state: Mapping[str, Tensor], prefix: str, pairs: Iterable[Pair]) -> dict[str, Tensor]:
    """Inverse of ``to_diffusers``. VAE attention projections become 1x1 convolutions."""
    result = {}
    for ldm, diffusers in pairs:
        for kind in ("weight", "bias"):
            if f"{diffusers}.{kind}" in state:
                tensor = state[f"{diffusers}.{kind}"]
                if ".mid.attn_1." in ldm and tensor.ndim == 2:
                    tensor = tensor[:, :, None, None]
                result[f"{prefix}{ldm}.{kind}"] = tensor
    return result
