"""A checkpoint in one file, in the LDM layout, to the modules of diffusers and transformers.

Modules are built without weights, and the tensors of the file become the weights: nothing is initialised in vain.
"""

from __future__ import annotations

from math import prod

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor

from gpu_runner.models.conversion import config_inference
from gpu_runner.models.conversion.config_inference import Config
from gpu_runner.models.conversion.ldm_keys import UNET_PREFIX, VAE_PREFIX, to_diffusers, unet_pairs, vae_pairs
from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.networks.module_copies import size_bytes
from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol import ModelFile
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.model_detection.safetensors_models import (
    identify,
    prediction_type,
    zero_terminal_snr,
)
from gpu_runner.protocol.schedules.alphas_cumprod import alphas_cumprod, with_zero_terminal_snr

from .meta_init import BUILDING_ERRORS, reason, with_weights, without_weights
from .prediction_type import probed
from .text_encoders import load_text_encoders

PREFIXES = (UNET_PREFIX, VAE_PREFIX, "cond_stage_model.", "conditioner.embedders.")
SUPPORTED_FAMILIES = ("sd15", "sd2", "sdxl")


def key_of(file: ModelFile) -> str:
    """What the registry says of a file makes another checkpoint of it."""
    said = [str(word) for word in (file.prediction_type, file.zero_terminal_snr) if word not in ("", None)]
    return " ".join([file.sha256, *said])


def load_checkpoint(
    file: TensorFile, asked: ModelFile, device: torch.device, dtype: torch.dtype
) -> LoadedCheckpoint:
    name = asked.path
    family = _drawable_family(file, name)
    try:
        configs = config_inference.infer(file.shapes, family, file.metadata)
        unet = _unet(file, configs.unet, device, dtype)
        vae = _vae(file, configs.vae, device, vae_dtype(family, dtype))
        text_encoders = load_text_encoders(file, configs.text_encoders, device, dtype)
    except BUILDING_ERRORS as error:
        raise ModelUnavailable(f"{name} cannot be used: {reason(error)}") from error
    return LoadedCheckpoint(
        key=key_of(asked),
        family=family,
        unet=unet,
        vae=vae,
        text_encoder=text_encoders.first,
        text_encoder_2=text_encoders.second,
        alphas_cumprod=_alphas(file, asked),
        prediction_type=asked.prediction_type
        or prediction_type(file.shapes, file.metadata)
        or _undeclared(family, unet),
        vae_scaling=float(configs.vae["scaling_factor"]),
        size_bytes=sum(size_bytes(module) for module in (unet, vae, *text_encoders.all)),
    )


def _undeclared(family: str, unet: UNet2DConditionModel) -> str:
    return probed(unet) if family == "sd2" else "epsilon"


def vae_dtype(family: str, dtype: torch.dtype) -> torch.dtype:
    """SDXL's VAE overflows in half precision."""
    return torch.float32 if family == "sdxl" and dtype == torch.float16 else dtype


def expected_size(file: TensorFile, dtype: torch.dtype) -> int:
    """Bytes that a file will take in memory, from its shapes; averaged copies of a checkpoint's weights stay on disk."""
    drawn_with = [shape for name, shape in file.shapes.items() if name.startswith(PREFIXES)]
    return sum(map(prod, drawn_with or file.shapes.values())) * dtype.itemsize


def _alphas(file: TensorFile, asked: ModelFile) -> Tensor:
    said = asked.zero_terminal_snr
    rescaled = zero_terminal_snr(file.shapes, file.metadata) if said is None else said
    alphas = alphas_cumprod()
    return torch.from_numpy(with_zero_terminal_snr(alphas) if rescaled else alphas)


def _drawable_family(file: TensorFile, name: str) -> str:
    found = identify(file.shapes, file.metadata)
    if found.kind != "checkpoint":
        raise ModelUnavailable(f"{name} is not a checkpoint")
    if found.family not in SUPPORTED_FAMILIES:
        raise ModelUnavailable(f"{name} is of a family that is not supported yet: {found.family}")
    return found.family


def _unet(file: TensorFile, config: Config, device: torch.device, dtype: torch.dtype) -> UNet2DConditionModel:
    unet = without_weights(lambda: UNet2DConditionModel(**config))
    state = to_diffusers(file, UNET_PREFIX, unet_pairs(config), unet.state_dict())
    return with_weights(unet, state, device, dtype).to(memory_format=torch.channels_last)


def _vae(file: TensorFile, config: Config, device: torch.device, dtype: torch.dtype) -> AutoencoderKL:
    vae = without_weights(lambda: AutoencoderKL(**config))
    state = to_diffusers(file, VAE_PREFIX, vae_pairs(config), vae.state_dict())
    return with_weights(vae, state, device, dtype).to(memory_format=torch.channels_last)
