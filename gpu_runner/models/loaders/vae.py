"""Loads a standalone VAE, in the LDM or the diffusers layout."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from gpu_runner.models.conversion.ldm_keys import reshaped, to_diffusers, vae_pairs
from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.model_detection import config_inference
from gpu_runner.protocol.model_detection.parts.vaes import find_vae
from gpu_runner.protocol.model_detection.safetensors_models import name_shapes_below
from gpu_runner.protocol.model_detection.usability import current_vae_name, inspect

from .meta_init import BUILDING_ERRORS, reason, with_weights, without_weights


def load_vae(file: TensorFile, name: str, device: torch.device, dtype: torch.dtype) -> AutoencoderKL:
    """Load a VAE file, or the VAE of a checkpoint file. Raises ModelUnavailable."""
    identified = inspect(file.shapes, file.metadata)
    if identified.kind not in ("vae", "checkpoint") or not identified.detail.get("has_vae", True):
        raise ModelUnavailable(f"{name} is not a VAE")
    if identified.problem and identified.kind == "vae":
        raise ModelUnavailable(f"{name} cannot be used: {identified.problem}")
    found = find_vae(file.shapes)
    if found is None or found.is_video:
        raise ModelUnavailable(f"{name} is not a VAE of a supported family")
    try:
        return _load(file, found.prefix, found.layout == "diffusers", device, dtype)
    except BUILDING_ERRORS as error:
        raise ModelUnavailable(f"{name} cannot be used: {reason(error)}") from error


def _load(
    file: TensorFile, prefix: str, is_diffusers: bool, device: torch.device, dtype: torch.dtype
) -> AutoencoderKL:
    if not is_diffusers:
        return load_from_ldm(file, prefix, device, dtype)
    shapes = name_shapes_below(file.shapes, prefix)
    overrides = config_inference.read_overrides(file.metadata)["vae"]
    vae = without_weights(
        lambda: AutoencoderKL(**config_inference.infer_diffusers_vae(shapes, "") | overrides)
    )
    state = _with_current_names(file, prefix, vae.state_dict())
    return with_weights(vae, state, device, dtype).to(memory_format=torch.channels_last)


def load_from_ldm(file: TensorFile, prefix: str, device: torch.device, dtype: torch.dtype) -> AutoencoderKL:
    """Build the VAE below ``prefix``, in the LDM layout. Raises one of BUILDING_ERRORS."""
    shapes = name_shapes_below(file.shapes, prefix)
    config = config_inference.infer_vae(shapes, "") | config_inference.read_overrides(file.metadata)["vae"]
    vae = without_weights(lambda: AutoencoderKL(**config))
    state = to_diffusers(file, prefix, vae_pairs(config), vae.state_dict())
    return with_weights(vae, state, device, dtype).to(memory_format=torch.channels_last)


def _with_current_names(file: TensorFile, prefix: str, like: dict[str, Tensor]) -> dict[str, Tensor]:
    names = {current_vae_name(name.removeprefix(prefix)): name for name in file if name.startswith(prefix)}
    return {name: reshaped(file[names[name]], empty) for name, empty in like.items()}
