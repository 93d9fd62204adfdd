"""Loads a checkpoint of a flow-matching family: its transformer, and the VAE and text encoders inside the file."""

from __future__ import annotations

from typing import Any, cast

import diffusers
import torch
from diffusers import AutoencoderKL
from torch import nn

from gpu_runner.models.conversion.ldm_keys import VAE_PREFIX
from gpu_runner.models.conversion.transformer_keys import to_diffusers
from gpu_runner.networks.loaded import TEXT_ENCODERS, LoadedCheckpoint, TextModel
from gpu_runner.networks.module_copies import size_bytes
from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol import ModelFile
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.families.family import Family
from gpu_runner.protocol.families.registry import family_of
from gpu_runner.protocol.model_detection import config_inference
from gpu_runner.protocol.model_detection.parts.text_encoders import find_text_encoders
from gpu_runner.protocol.model_detection.transformers.recognition import FoundTransformer

from .meta_init import BUILDING_ERRORS, reason, with_weights, without_weights
from .t5 import load_t5
from .text_encoders import load_text_encoders
from .vae import load_from_ldm

T5 = "t5_xxl"
VAE_PREFIXES = (VAE_PREFIX, "vae.")


def load_flow_checkpoint(
    file: TensorFile,
    model_file: ModelFile,
    found: FoundTransformer,
    device: torch.device,
    dtype: torch.dtype,
) -> LoadedCheckpoint:
    """Load the transformer, and what else the file has. Raises ModelUnavailable.

    float16 becomes bfloat16: activations of these transformers exceed the range of float16.
    """
    name = model_file.path
    variant = model_file.variant or str(found.detail().get("variant", ""))
    family = family_of(found.transformer.family, variant)
    if not family.is_drawn:
        raise ModelUnavailable(f"{name} cannot be used: {family.label} is not drawn by this version")
    dtype = torch.bfloat16 if dtype == torch.float16 else dtype
    try:
        transformer = _transformer(file, found, family, device, dtype)
        vae = _vae(file, family, device, dtype)
        encoders = _text_encoders(file, family, device, dtype)
    except BUILDING_ERRORS as error:
        raise ModelUnavailable(f"{name} cannot be used: {reason(error)}") from error
    parts = [transformer, vae, *encoders.values()]
    return LoadedCheckpoint(
        key=" ".join(filter(None, [model_file.sha256, model_file.variant])),
        family=family.name,
        unet=transformer,
        vae=cast("AutoencoderKL", vae),
        variant=variant,
        text_kinds=tuple(encoders),
        **_places(list(encoders.values())),
        alphas_cumprod=None,
        prediction_type="velocity",
        vae_scaling=family.latents.scaling_factor,
        vae_shift=family.latents.shift_factor,
        size_bytes=sum(size_bytes(part) for part in parts),
    )


def _transformer(
    file: TensorFile, found: FoundTransformer, family: Family, device: torch.device, dtype: torch.dtype
) -> nn.Module:
    if found.conversion.missing:
        raise KeyError(found.conversion.missing[0])
    config = found.config() | config_inference.read_overrides(file.metadata)["transformer"]
    if family.references is not None and family.references.clean:
        config["zero_cond_t"] = True
    build: Any = getattr(diffusers, found.transformer.class_name)
    transformer: nn.Module = without_weights(lambda: build(**config))
    _fill_tables(transformer, device)
    return with_weights(transformer, to_diffusers(file, found.conversion), device, dtype)


def _fill_tables(transformer: Any, device: torch.device) -> None:
    """Compute what no file contains: Chroma's table of modulations, and Qwen-Image's tables of positions."""
    if isinstance(transformer, diffusers.ChromaTransformer2DModel):
        embed = transformer.time_text_embed
        number, width = embed.mod_proj.shape
        transformer.time_text_embed = type(embed)(width // 2, number).to(device)
    if isinstance(transformer, diffusers.QwenImageTransformer2DModel):
        embed = transformer.pos_embed
        transformer.pos_embed = type(embed)(embed.theta, embed.axes_dim, scale_rope=embed.scale_rope)


def _vae(file: TensorFile, family: Family, device: torch.device, dtype: torch.dtype) -> nn.Module:
    prefix = next(
        (prefix for prefix in VAE_PREFIXES if f"{prefix}decoder.conv_in.weight" in file.shapes), None
    )
    if prefix is None:
        return nn.Module()
    vae = load_from_ldm(file, prefix, device, dtype)
    channels = vae.config.latent_channels
    if channels != family.latents.vae_channels:
        raise ValueError(f"its VAE must have {family.latents.vae_channels} latent channels (got {channels})")
    return vae


def _places(encoders: list[TextModel]) -> dict[str, Any]:
    """The attributes of a checkpoint; without a text encoder, the first is an empty module."""
    filled = [*(encoders or [cast("TextModel", nn.Module())]), None, None]
    return dict(zip(TEXT_ENCODERS, filled, strict=False))


def _text_encoders(
    file: TensorFile, family: Family, device: torch.device, dtype: torch.dtype
) -> dict[str, TextModel]:
    """Those of the family that the file has, by kind: CLIP-L and CLIP-G as in Stability's files, and T5."""
    overrides = config_inference.read_overrides(file.metadata)
    described = config_inference.infer_bundled_clip(file.shapes)
    configs = [
        config_inference.replaced(encoder, overrides[part])
        for encoder, part in zip(described, TEXT_ENCODERS, strict=False)
    ]
    clip = load_text_encoders(file, configs, device, dtype).all if configs else []
    found: dict[str, TextModel] = dict(zip(("clip_l", "clip_g"), clip, strict=False))
    t5 = next((one for one in find_text_encoders(file.shapes) if one.kind == T5), None)
    if t5 is not None:
        found[T5] = cast("TextModel", load_t5(file, t5.prefix, device, dtype))
    return {part.kind: found[part.kind] for part in family.text if part.kind in found}
