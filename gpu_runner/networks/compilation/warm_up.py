"""Warm-up of a denoiser: calls it in each bucket of shapes, so that its blocks are compiled before a job needs them.

Numbers of rows, pixels and text tokens are symbols in the compiled code. What needs code of its own: one row or several,
and texts of different lengths where a family masks them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from gpu_runner.networks.conditioning import Conditioning
from gpu_runner.networks.diffusion import unet
from gpu_runner.networks.diffusion.guidance import DenoiseInput, Guidance
from gpu_runner.networks.flow import transformer
from gpu_runner.networks.loaded import LoadedCheckpoint

from .regional import compile_blocks, warming_up

CPU_SIDE = 128  # the size does not matter to the code; on a GPU it decides which kernels are chosen
TEXT_WIDTHS = ("cross_attention_dim", "joint_attention_dim", "cap_feat_dim")
SDXL_TIME_IDS = 6
EMBEDDED_GUIDANCE = 3.5


def compile_and_warm_up(checkpoint: LoadedCheckpoint) -> None:
    """Compile the repeated blocks of the denoiser for all buckets."""
    if not compile_blocks(checkpoint.unet):
        return
    network = unet if checkpoint.facts.flow is None else transformer
    with warming_up():
        for batch in buckets(checkpoint):
            network.denoise(checkpoint, batch)


def buckets(checkpoint: LoadedCheckpoint, side: int = 0) -> Iterator[list[DenoiseInput]]:
    """One batch for each bucket of shapes, of images of ``side`` pixels; 0: the family's default."""
    facts = checkpoint.facts
    side = side or (facts.defaults.side if checkpoint.device.type == "cuda" else CPU_SIDE)
    tokens = facts.text[0].tokens
    one = denoise_input(checkpoint, side, tokens)
    yield [one]
    yield [one, one]
    if facts.flow is not None and not facts.text[0].padded:
        yield [one, denoise_input(checkpoint, side, tokens // 2)]


def denoise_input(checkpoint: LoadedCheckpoint, side: int, tokens: int) -> DenoiseInput:
    """One row of noise with a text of zeros."""
    facts, config, device = checkpoint.facts, checkpoint.unet.config, checkpoint.device
    shape = facts.latents.shape(side, side)
    width = next(config[name] for name in TEXT_WIDTHS if config.get(name))
    pooled_width = _pooled_width(config)
    text = Conditioning(
        torch.zeros(tokens, width, device=device, dtype=checkpoint.dtype),
        torch.zeros(pooled_width, device=device, dtype=checkpoint.dtype) if pooled_width else None,
    )
    embedded = EMBEDDED_GUIDANCE if facts.guidance == "embedded" else None
    more = _more_channels(checkpoint)
    return DenoiseInput(
        torch.randn(shape, device=device),
        sigma=0.5,
        timestep=500.0,
        guidance=Guidance(((text, 1.0),), text, scale=1.0, embedded=embedded),
        extra=torch.zeros(more, *shape[1:], device=device) if more else None,
    )


def _more_channels(checkpoint: LoadedCheckpoint) -> int:
    """Channels beside the latent's that inpainting, InstructPix2Pix and FLUX.1 Fill checkpoints read."""
    channels, latents = checkpoint.unet.config.get("in_channels"), checkpoint.facts.latents
    if checkpoint.facts.flow is None:
        return int(channels - latents.channels)
    packed = latents.patch**2 if checkpoint.family == "flux1" else 0
    return int(channels // packed - latents.channels) if packed else 0


def _pooled_width(config: Mapping[str, Any]) -> int:
    if config.get("addition_embed_type") == "text_time":
        ids = SDXL_TIME_IDS * config["addition_time_embed_dim"]
        return int(config["projection_class_embeddings_input_dim"] - ids)
    return int(config.get("pooled_projection_dim") or 0)
