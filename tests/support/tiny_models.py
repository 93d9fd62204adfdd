"""A tiny Stable Diffusion 1.x with random weights, in the real file format."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file

from demo.architectures import demo_model as architecture
from gpu_runner.models.conversion.ldm_keys import (
    CLIP_PREFIX,
    UNET_PREFIX,
    VAE_PREFIX,
    from_diffusers,
    unet_pairs,
    vae_pairs,
)
from gpu_runner.protocol import ModelFile

torch.set_num_threads(1)

OVERRIDES = {
    "unet": {
        key: architecture.UNET_CONFIG[key] for key in ("attention_head_dim", "norm_num_groups", "sample_size")
    },
    "vae": {key: architecture.VAE_CONFIG[key] for key in ("norm_num_groups", "sample_size")},
    "text_encoder": {key: architecture.TEXT_ENCODER_CONFIG[key] for key in ("num_attention_heads",)},
}


@dataclass(frozen=True)
class TinyModules:
    """The modules of the tiny checkpoint, in float16."""

    unet: torch.nn.Module
    vae: torch.nn.Module
    text_encoder: torch.nn.Module


def random_modules(seed: int, **unet_config: int) -> TinyModules:
    """``unet_config`` replaces parts of the UNet's configuration, such as ``in_channels=8`` for InstructPix2Pix."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(**architecture.UNET_CONFIG | unet_config)
        parts = (unet, architecture.new_vae(), architecture.new_text_encoder())
    return TinyModules(*(part.half().eval().requires_grad_(False) for part in parts))


def single_file_tensors(modules: TinyModules) -> dict[str, torch.Tensor]:
    tensors = from_diffusers(modules.unet.state_dict(), UNET_PREFIX, unet_pairs(architecture.UNET_CONFIG))
    tensors |= from_diffusers(modules.vae.state_dict(), VAE_PREFIX, vae_pairs(architecture.VAE_CONFIG))
    for name, tensor in modules.text_encoder.state_dict().items():
        tensors[f"{CLIP_PREFIX}text_model.{name.removeprefix('text_model.')}"] = tensor
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def write_checkpoint(root: Path, path: str, tensors: dict[str, torch.Tensor], **metadata: str) -> ModelFile:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, file, metadata={"format": "pt", "atelier.config": json.dumps(OVERRIDES), **metadata})
    return ModelFile(path=path, sha256=hashlib.sha256(file.read_bytes()).hexdigest())
