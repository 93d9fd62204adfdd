"""Tiny checkpoints of flow-matching families with random weights, in their everyday layouts."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderKLFlux2, AutoencoderKLQwenImage
from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers
from safetensors.torch import save_file
from torch import Tensor
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    Qwen2Config,
    Qwen2Model,
    Qwen3Config,
    Qwen3Model,
    T5Config,
    T5EncoderModel,
)

from demo.architectures import demo_model as architecture
from demo.flow_matching.original_layout import original_layout
from gpu_runner.models.conversion.ldm_keys import VAE_PREFIX, from_diffusers, vae_pairs
from gpu_runner.models.variant import PLAIN, Variant
from gpu_runner.protocol import ModelFile
from gpu_runner.protocol.families.registry import FAMILIES
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


def normalizing_vae(family: str) -> AutoencoderKL:
    """The VAE of the tiny checkpoints, with the normalization of a family, which no file contains."""
    vae, latents = copy.deepcopy(sd3_modules().vae), FAMILIES[family].latents
    vae.register_to_config(scaling_factor=latents.scaling_factor, shift_factor=latents.shift_factor)
    return vae


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
def qwen3(seed: int = 0, config: str = "") -> Qwen3Model:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Qwen3Model(Qwen3Config(**(FLUX2_QWEN if config else QWEN_CONFIG))).eval().requires_grad_(False)


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


T5_CONFIG = {
    "vocab_size": 32128,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 4,
    "feed_forward_proj": "gated-gelu",
}


@cache
def t5(seed: int = 0) -> T5EncoderModel:
    """Its output is scaled to deviate by about 1, so that prompts differ enough."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = T5EncoderModel(T5Config(**T5_CONFIG)).eval().requires_grad_(False)
    return encoder


@cache
def flux_clip() -> CLIPTextModel:
    """CLIP-L of the width that the tiny FLUX.1 reads."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = CLIPTextConfig(**CLIP_CONFIG | {"hidden_size": 24, "projection_dim": 24})
        return CLIPTextModel(config).eval().requires_grad_(False)


def bundled(prefix: str, module: torch.nn.Module, inner: str = "") -> dict[str, Tensor]:
    """The tensors of a part of an all-in-one file."""
    state = {name.removeprefix(inner): tensor for name, tensor in module.state_dict().items()}
    return {f"{prefix}{inner}{name}": tensor for name, tensor in state.items()}


def write_flux1(root: Path) -> tuple[ModelFile, Variant]:
    """dev, all in one file, as ComfyUI publishes it."""
    tensors = original_layout("flux1", tiny("flux1").state_dict(), "model.diffusion_model.")
    tensors |= from_diffusers(sd3_modules().vae.state_dict(), "vae.", vae_pairs(VAE_CONFIG))
    tensors |= bundled("text_encoders.clip_l.transformer.", flux_clip(), "text_model.")
    tensors |= bundled("text_encoders.t5xxl.transformer.", t5())
    del tensors["text_encoders.t5xxl.transformer.encoder.embed_tokens.weight"]
    overrides = {"vae": OVERRIDES["vae"], "text_encoder": OVERRIDES["text_encoder"]}
    return written(root, "flux1-dev", tensors, **overrides), PLAIN


def flux_parts(root: Path) -> tuple[ModelFile, tuple[ModelFile, ModelFile]]:
    """VAE, CLIP-L and T5 as files of their own."""
    vae = from_diffusers(sd3_modules().vae.state_dict(), "", vae_pairs(VAE_CONFIG))
    clip = bundled("", flux_clip(), "text_model.")
    encoders = (
        written(root, "f-clip", clip, text_encoder=OVERRIDES["text_encoder"]),
        written(
            root, "f-t5", {**t5().state_dict(), "encoder.embed_tokens.weight": t5().shared.weight.clone()}
        ),
    )
    return written(root, "f-vae", vae, vae=OVERRIDES["vae"]), encoders


def write_schnell(root: Path) -> tuple[ModelFile, Variant]:
    """The transformer alone, in the layout of diffusers."""
    vae, encoders = flux_parts(root)
    return written(root, "schnell", tiny("schnell").state_dict()), Variant(vae=vae, text_encoders=encoders)


def write_chroma(root: Path) -> tuple[ModelFile, Variant]:
    vae, (_clip, encoder) = flux_parts(root)
    transformer = original_layout("chroma", tiny("chroma").state_dict())
    return written(root, "chroma", transformer), Variant(vae=vae, text_encoders=(encoder,))


@cache
def flux2_vae() -> AutoencoderKLFlux2:
    config = {
        key: value for key, value in VAE_CONFIG.items() if key not in ("scaling_factor", "latent_channels")
    }
    config |= {"use_quant_conv": True, "use_post_quant_conv": True, "latent_channels": 32}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = AutoencoderKLFlux2(**config).eval().requires_grad_(False)
        vae.bn.running_mean.normal_()
        vae.bn.running_var.uniform_(0.5, 2)
    return vae


FLUX2_QWEN = QWEN_CONFIG | {"hidden_size": 8, "intermediate_size": 8, "head_dim": 4, "num_hidden_layers": 29}


def write_flux2(root: Path) -> tuple[ModelFile, Variant]:
    """klein in the layouts of its authors; the convolutions between the halves of the VAE are inside them."""
    transformer = original_layout("flux2", tiny("flux2").state_dict())
    state = flux2_vae().state_dict()
    vae = from_diffusers(state, "", vae_pairs(flux2_vae().config))
    inner = {"quant_conv": "encoder.quant_conv", "post_quant_conv": "decoder.post_quant_conv"}
    vae = {
        f"{inner.get(name.split('.')[0], name.rpartition('.')[0])}.{name.rpartition('.')[2]}": tensor
        for name, tensor in vae.items()
    }
    vae |= {name: tensor for name, tensor in state.items() if name.startswith("bn.")}
    encoder = {f"model.{name}": tensor for name, tensor in qwen3(config="flux2").state_dict().items()}
    variant = Variant(
        vae=written(root, "f2-vae", vae, vae=OVERRIDES["vae"]),
        text_encoders=(written(root, "f2-qwen", encoder),),
    )
    return written(root, "flux2", transformer), variant


QWEN2_CONFIG = {key: value for key, value in QWEN_CONFIG.items() if key != "head_dim"} | {"hidden_size": 32}


@cache
def qwen2() -> Qwen2Model:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Qwen2Model(Qwen2Config(**QWEN2_CONFIG)).eval().requires_grad_(False)


@cache
def qwen_vae() -> AutoencoderKLQwenImage:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoencoderKLQwenImage(base_dim=4).eval().requires_grad_(False)


def wan_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the VAE in the names of Wan: those that diffusers' own converter reads as the names of the state."""
    modules = ["conv1", "conv2"]
    for side, blocks in (("encoder", "downsamples"), ("decoder", "upsamples")):
        modules += [f"{side}.conv1", f"{side}.head.0", f"{side}.head.2"]
        parts = (*(f"residual.{n}" for n in (0, 2, 3, 6)), "shortcut", "resample.1", "time_conv")
        modules += [f"{side}.{blocks}.{n}.{part}" for n in range(15) for part in parts]
        modules += [f"{side}.middle.{n}.{part}" for n in (0, 2) for part in parts]
        modules += [f"{side}.middle.1.{part}" for part in ("norm", "to_qkv", "proj")]
    names = [f"{module}.{ending}" for module in modules for ending in ("weight", "bias", "gamma")]
    theirs = {ours: name for name in names for ours in convert_wan_vae_to_diffusers({name: name})}
    return {theirs[name]: tensor for name, tensor in state.items()}


def write_qwen_image(root: Path) -> tuple[ModelFile, Variant]:
    """In ComfyUI's layouts: a prefix before the transformer, and the VAE in the names of Wan."""
    state = tiny("qwen_image").state_dict()
    transformer = {f"model.diffusion_model.{name}": tensor for name, tensor in state.items()}
    encoder = {f"model.{name}": tensor for name, tensor in qwen2().state_dict().items()}
    encoder["visual.patch_embed.proj.weight"] = torch.zeros(4, 3, 2, 2, 2)
    variant = Variant(
        vae=written(root, "q-vae", wan_names(qwen_vae().state_dict())),
        text_encoders=(written(root, "q-qwen", encoder, text_encoder={"num_attention_heads": 2}),),
    )
    return written(root, "qwen-image", transformer), variant


def write_sd3_with_t5(root: Path) -> tuple[ModelFile, Variant]:
    """The all-in-one file, and T5 beside it."""
    return write_sd3(root), Variant(text_encoders=(flux_parts(root)[1][1],))


WRITERS: dict[str, Callable[[Path], tuple[ModelFile, Variant]]] = {
    "sd3": lambda root: (write_sd3(root), PLAIN),
    "sd3 with T5": write_sd3_with_t5,
    "z_image": write_z_image,
    "flux1": write_flux1,
    "schnell": write_schnell,
    "chroma": write_chroma,
    "flux2": write_flux2,
    "qwen_image": write_qwen_image,
}
