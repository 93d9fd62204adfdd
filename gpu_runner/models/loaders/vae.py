"""Loads a standalone VAE, in the LDM or the diffusers layout."""

from __future__ import annotations

import re

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from gpu_runner.models.conversion import config_inference
from gpu_runner.models.conversion.ldm_keys import reshaped, to_diffusers, vae_pairs
from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.model_detection.safetensors_models import identify, name_shapes_below

from .meta_init import BUILDING_ERRORS, reason, with_weights, without_weights

# Attention layer names in older diffusers releases, before they were unified.
OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
OLD_NAME = re.compile(rf"(attentions\.0\.)({'|'.join(OLD_ATTENTION)})\.")


def load_vae(file: TensorFile, name: str, device: torch.device, dtype: torch.dtype) -> AutoencoderKL:
    """Load a VAE file, or the VAE of a checkpoint file. Raises ModelUnavailable."""
    identified = identify(file.shapes, file.metadata)
    if identified.kind not in ("vae", "checkpoint") or not identified.detail.get("has_vae", True):
        raise ModelUnavailable(f"{name} is not a VAE")
    prefix = "first_stage_model." if identified.kind == "checkpoint" else identified.detail["prefix"]
    try:
        return _load(file, prefix, identified.detail.get("layout") == "diffusers", device, dtype)
    except BUILDING_ERRORS as error:
        raise ModelUnavailable(f"{name} cannot be used: {reason(error)}") from error


def _load(
    file: TensorFile, prefix: str, is_diffusers: bool, device: torch.device, dtype: torch.dtype
) -> AutoencoderKL:
    shapes = name_shapes_below(file.shapes, prefix)
    infer = config_inference.infer_diffusers_vae if is_diffusers else config_inference.infer_vae
    config = infer(shapes, "") | config_inference.read_overrides(file.metadata)["vae"]
    vae = without_weights(lambda: AutoencoderKL(**config))
    empty_state = vae.state_dict()
    state = (
        _with_current_names(file, prefix, empty_state)
        if is_diffusers
        else to_diffusers(file, prefix, vae_pairs(config), empty_state)
    )
    return with_weights(vae, state, device, dtype).to(memory_format=torch.channels_last)


def _with_current_names(file: TensorFile, prefix: str, like: dict[str, Tensor]) -> dict[str, Tensor]:
    names = {
        OLD_NAME.sub(lambda match: f"{match[1]}{OLD_ATTENTION[match[2]]}.", name.removeprefix(prefix)): name
        for name in file
        if name.startswith(prefix)
    }
    return {name: reshaped(file[names[name]], empty) for name, empty in like.items()}
