"""Loads a standalone VAE, in the LDM or the diffusers layout."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderKLFlux2
from torch import Tensor

from gpu_runner.models.conversion.ldm_keys import reshaped, to_diffusers, vae_pairs
from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.model_detection import config_inference
from gpu_runner.protocol.model_detection.parts.vaes import (
    find_vae,
    outer_convolution,
    with_outer_convolutions,
)
from gpu_runner.protocol.model_detection.safetensors_models import name_shapes_below
from gpu_runner.protocol.model_detection.usability import current_vae_name, inspect

from .meta_init import BUILDING_ERRORS, reason, with_weights, without_weights
from .qwen_vae import load_qwen_vae


def load_vae(file: TensorFile, name: str, device: torch.device, dtype: torch.dtype) -> AutoencoderKL:
    """Load a VAE file, or the VAE of a checkpoint file. Raises ModelUnavailable."""
    identified = inspect(file.shapes, file.metadata)
    if identified.kind not in ("vae", "checkpoint") or not identified.detail.get("has_vae", True):
        raise ModelUnavailable(f"{name} is not a VAE")
    if identified.problem and identified.kind == "vae":
        raise ModelUnavailable(f"{name} cannot be used: {identified.problem}")
    found = find_vae(file.shapes)
    if found is None or not found.families:
        raise ModelUnavailable(f"{name} is not a VAE of a supported family")
    try:
        if found.is_video:
            return load_qwen_vae(file, found.prefix, device, dtype)
        return _load(file, found.prefix, found.layout == "diffusers", device, dtype)
    except BUILDING_ERRORS as error:
        raise ModelUnavailable(f"{name} cannot be used: {reason(error)}") from error


def _load(
    file: TensorFile, prefix: str, is_diffusers: bool, device: torch.device, dtype: torch.dtype
) -> AutoencoderKL:
    if f"{prefix}{STATISTICS[0]}" in file.shapes:
        return load_flux2(file, prefix, device, dtype, is_diffusers=is_diffusers)
    if not is_diffusers:
        return load_from_ldm(file, prefix, device, dtype)
    shapes = name_shapes_below(file.shapes, prefix)
    overrides = config_inference.read_overrides(file.metadata)["vae"]
    vae = without_weights(
        lambda: AutoencoderKL(**config_inference.infer_diffusers_vae(shapes, "") | overrides)
    )
    state = _with_current_names(file, prefix, vae.state_dict())
    return with_weights(vae, state, device, dtype).to(memory_format=torch.channels_last)


STATISTICS = ("bn.running_mean", "bn.running_var")


def load_flux2(
    file: TensorFile, prefix: str, device: torch.device, dtype: torch.dtype, *, is_diffusers: bool
) -> AutoencoderKL:
    """Build the VAE of FLUX.2. Raises one of BUILDING_ERRORS. Its authors have the outer convolutions inside the halves."""
    original = name_shapes_below(file.shapes, prefix) if prefix else file.shapes
    shapes = with_outer_convolutions(original)
    infer = config_inference.infer_diffusers_vae if is_diffusers else config_inference.infer_vae
    config = infer(shapes, "") | config_inference.read_overrides(file.metadata)["vae"]
    del config["scaling_factor"]
    vae: Any = without_weights(lambda: AutoencoderKLFlux2(**config))
    empty = {name: tensor for name, tensor in vae.state_dict().items() if not name.startswith("bn.")}
    if is_diffusers:
        state = _with_current_names(file, prefix, empty)
    else:
        inner = {outer_convolution(name): f"{prefix}{name}" for name in original}
        state = to_diffusers(
            {name: file[stored] for name, stored in inner.items()}, "", vae_pairs(config), empty
        )
    state |= {name: file[f"{prefix}{name}"] for name in STATISTICS}
    state["bn.num_batches_tracked"] = torch.zeros(())
    return with_weights(vae, state, device, dtype).to(memory_format=torch.channels_last)


def load_from_ldm(file: TensorFile, prefix: str, device: torch.device, dtype: torch.dtype) -> AutoencoderKL:
    """Build the VAE below ``prefix``, in the LDM layout. Raises one of BUILDING_ERRORS."""
    if f"{prefix}{STATISTICS[0]}" in file.shapes:
        return load_flux2(file, prefix, device, dtype, is_diffusers=False)
    shapes = name_shapes_below(file.shapes, prefix)
    config = config_inference.infer_vae(shapes, "") | config_inference.read_overrides(file.metadata)["vae"]
    vae = without_weights(lambda: AutoencoderKL(**config))
    state = to_diffusers(file, prefix, vae_pairs(config), vae.state_dict())
    return with_weights(vae, state, device, dtype).to(memory_format=torch.channels_last)


def _with_current_names(file: TensorFile, prefix: str, like: dict[str, Tensor]) -> dict[str, Tensor]:
    names = {current_vae_name(name.removeprefix(prefix)): name for name in file if name.startswith(prefix)}
    return {name: reshaped(file[names[name]], empty) for name, empty in like.items()}
