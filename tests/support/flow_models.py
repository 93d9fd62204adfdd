"""Tiny checkpoints of flow-matching families with random weights, in their everyday layouts."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

from demo import architecture
from gpu_runner.models.conversion.ldm_keys import VAE_PREFIX, from_diffusers, vae_pairs
from gpu_runner.protocol import ModelFile
from tests.support.transformer_files import original_layout, tiny

VAE_CONFIG = architecture.VAE_CONFIG | {
    "latent_channels": 16,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
}
CLIP_CONFIG = architecture.TEXT_ENCODER_CONFIG | {"hidden_size": 16, "projection_dim": 16}
OVERRIDES = {
    "transformer": {"attention_head_dim": 16, "num_attention_heads": 2, "sample_size": 16},
    "vae": {"norm_num_groups": VAE_CONFIG["norm_num_groups"], "sample_size": VAE_CONFIG["sample_size"]},
    "text_encoder": {"num_attention_heads": CLIP_CONFIG["num_attention_heads"]},
}


@dataclass(frozen=True)
class FlowModules:
    """Modules of a tiny checkpoint, in float32."""

    transformer: Any
    vae: AutoencoderKL
    text_encoder: CLIPTextModel


@cache
def sd3_modules(seed: int = 0) -> FlowModules:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        vae, encoder = AutoencoderKL(**VAE_CONFIG), CLIPTextModel(CLIPTextConfig(**CLIP_CONFIG))
    parts = (tiny("sd3", seed), vae, encoder)
    return FlowModules(*(part.eval().requires_grad_(False) for part in parts))


def sd3_tensors(modules: FlowModules) -> dict[str, Tensor]:
    """All in one file, as Stability and ComfyUI publish SD3."""
    tensors = original_layout("sd3", modules.transformer.state_dict(), "model.diffusion_model.")
    tensors |= from_diffusers(modules.vae.state_dict(), VAE_PREFIX, vae_pairs(VAE_CONFIG))
    for name, tensor in modules.text_encoder.state_dict().items():
        tensors[f"text_encoders.clip_l.transformer.text_model.{name.removeprefix('text_model.')}"] = tensor
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def write_sd3(root: Path, seed: int = 0) -> ModelFile:
    path = root / f"sd3-{seed}.safetensors"
    save_file(sd3_tensors(sd3_modules(seed)), path, metadata={"atelier.config": json.dumps(OVERRIDES)})
    return ModelFile(path=path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


WRITERS = {"sd3": write_sd3}
