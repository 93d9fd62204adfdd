"""Loads a checkpoint of a flow-matching family: its transformer, and the VAE and text encoders inside the file."""

from __future__ import annotations

from typing import Any, cast

import diffusers
import torch
from diffusers import AutoencoderKL
from torch import nn

from gpu_runner.models.conversion.ldm_keys import VAE_PREFIX
from gpu_runner.models.conversion.transformer_keys import to_diffusers
from gpu_runner.networks.loaded import LoadedCheckpoint, TextModel
from gpu_runner.networks.module_copies import size_bytes
from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol import ModelFile
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.families.family import Family
from gpu_runner.protocol.families.registry import FAMILIES
from gpu_runner.protocol.model_detection import config_inference
from gpu_runner.protocol.model_detection.transformers.recognition import FoundTransformer

from .meta_init import BUILDING_ERRORS, reason, with_weights, without_weights
from .text_encoders import load_text_encoders
from .vae import load_from_ldm

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
    family = FAMILIES[found.transformer.family]
    name = model_file.path
    if not family.is_drawn:
        raise ModelUnavailable(f"{name} cannot be used: {family.label} is not drawn by this version")
    dtype = torch.bfloat16 if dtype == torch.float16 else dtype
    try:
        transformer = _transformer(file, found, device, dtype)
        vae = _vae(file, family, device, dtype)
        encoders = _text_encoders(file, device, dtype)
    except BUILDING_ERRORS as error:
        raise ModelUnavailable(f"{name} cannot be used: {reason(error)}") from error
    parts = [transformer, vae, *encoders]
    return LoadedCheckpoint(
        key=model_file.sha256,
        family=family.name,
        unet=transformer,
        vae=cast("AutoencoderKL", vae),
        text_encoder=cast("TextModel", encoders[0] if encoders else nn.Module()),
        text_encoder_2=encoders[1] if len(encoders) > 1 else None,
        alphas_cumprod=None,
        prediction_type="velocity",
        vae_scaling=family.latents.scaling_factor,
        vae_shift=family.latents.shift_factor,
        size_bytes=sum(size_bytes(part) for part in parts),
    )


def _transformer(
    file: TensorFile, found: FoundTransformer, device: torch.device, dtype: torch.dtype
) -> nn.Module:
    if found.conversion.missing:
        raise KeyError(found.conversion.missing[0])
    config = found.config() | config_inference.read_overrides(file.metadata)["transformer"]
    build: Any = getattr(diffusers, found.transformer.class_name)
    transformer: nn.Module = without_weights(lambda: build(**config))
    return with_weights(transformer, to_diffusers(file, found.conversion), device, dtype)


def _vae(file: TensorFile, family: Family, device: torch.device, dtype: torch.dtype) -> nn.Module:
    prefix = next(
        (prefix for prefix in VAE_PREFIXES if f"{prefix}decoder.conv_in.weight" in file.shapes), None
    )
    if prefix is None:
        return nn.Module()
    vae = load_from_ldm(file, prefix, device, dtype)
    if vae.config.latent_channels != family.latents.channels:
        channels = vae.config.latent_channels
        raise ValueError(f"its VAE must have {family.latents.channels} latent channels (got {channels})")
    return vae


def _text_encoders(file: TensorFile, device: torch.device, dtype: torch.dtype) -> list[TextModel]:
    """CLIP-L, and CLIP-G after it if the file has one. A T5 inside the file is not used."""
    overrides = config_inference.read_overrides(file.metadata)
    described = config_inference.infer_bundled_clip(file.shapes)
    parts = ("text_encoder", "text_encoder_2")
    configs = [
        config_inference.replaced(encoder, overrides[part])
        for encoder, part in zip(described, parts, strict=False)
    ]
    return load_text_encoders(file, configs, device, dtype).all if configs else []
