"""Tiny checkpoints of flow-matching families with random weights, in their everyday layouts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, Qwen3Config, Qwen3Model

from demo import architecture
from demo.flow_matching.original_layout import original_layout
from gpu_runner.models.conversion.ldm_keys import VAE_PREFIX, from_diffusers, vae_pairs
from gpu_runner.models.variant import PLAIN, Variant
from gpu_runner.protocol import ModelFile
from gpu_runner.protocol.prompt import qwen_tokenizer
from tests.support import transformer_files
from tests.support.transformer_files import tiny

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


QWEN_CONFIG = {
    "vocab_size": qwen_tokenizer.VOCABULARY_SIZE,
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 12,
    "rope_theta": 1_000_000.0,
    "rms_norm_eps": 1e-6,
}


@cache
def qwen3(seed: int = 0) -> Qwen3Model:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Qwen3Model(Qwen3Config(**QWEN_CONFIG)).eval().requires_grad_(False)


def written(root: Path, name: str, tensors: dict[str, Tensor], **overrides: Any) -> ModelFile:
    path = root / f"{name}.safetensors"
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(contiguous, path, metadata={"atelier.config": json.dumps(overrides)})
    return ModelFile(path=path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def write_z_image(root: Path) -> tuple[ModelFile, Variant]:
    """Three files, as ComfyUI has them: transformer, VAE and text encoder."""
    transformer = original_layout("z_image", tiny("z_image").state_dict(), "model.diffusion_model.")
    vae = from_diffusers(sd3_modules().vae.state_dict(), "", vae_pairs(VAE_CONFIG))
    encoder = {f"model.{name}": tensor for name, tensor in qwen3().state_dict().items()}
    variant = Variant(
        vae=written(root, "z-vae", vae, vae=OVERRIDES["vae"]),
        text_encoders=(written(root, "z-qwen", encoder),),
    )
    config = {key: transformer_files.TINY["z_image"][key] for key in ("n_heads", "n_kv_heads", "axes_dims")}
    config["axes_lens"] = [1024, 32, 32]  # tables of positions: of text and image, rows, columns
    return written(root, "z-image", transformer, transformer=config), variant


WRITERS: dict[str, Callable[[Path], tuple[ModelFile, Variant]]] = {
    "sd3": lambda root: (write_sd3(root), PLAIN),
    "z_image": write_z_image,
}
