"""Loads a single-file checkpoint in the LDM layout into diffusers and transformers modules.

Modules are built on the meta device and the file's tensors are assigned, which skips weight initialization.
"""

from __future__ import annotations

from math import prod
from typing import cast

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn

from gpu_runner.models.conversion.ldm_keys import UNET_PREFIX, VAE_PREFIX, to_diffusers, unet_pairs, vae_pairs
from gpu_runner.networks.loaded import LoadedCheckpoint, TextModel
from gpu_runner.networks.module_copies import size_bytes
from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol import ModelFile
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.model_detection import config_inference
from gpu_runner.protocol.model_detection.config_inference import Config
from gpu_runner.protocol.model_detection.safetensors_models import prediction_type, zero_terminal_snr
from gpu_runner.protocol.model_detection.transformers.recognition import find_transformer
from gpu_runner.protocol.model_detection.usability import inspect
from gpu_runner.protocol.schedules.alphas_cumprod import alphas_cumprod, with_zero_terminal_snr

from .flow_checkpoint import load_flow_checkpoint
from .meta_init import BUILDING_ERRORS, reason, with_weights, without_weights
from .prediction_type import detect_prediction_type
from .text_encoders import load_text_encoders

PREFIXES = (UNET_PREFIX, VAE_PREFIX, "cond_stage_model.", "conditioner.embedders.", "text_encoders.", "vae.")


def key_of(file: ModelFile) -> str:
    """Cache key: the SHA-256, and what the registry says of the training."""
    told = (file.prediction_type, file.zero_terminal_snr, file.variant)
    overrides = [str(value) for value in told if value not in ("", None)]
    return " ".join([file.sha256, *overrides])


def load_checkpoint(
    file: TensorFile, model_file: ModelFile, device: torch.device, dtype: torch.dtype
) -> LoadedCheckpoint:
    """Load UNet, VAE and text encoders. Raises ModelUnavailable.

    A file without a VAE, or with an incomplete one, gives a checkpoint whose ``has_vae`` is False.
    """
    name = model_file.path
    if transformer := find_transformer(file.shapes):
        return load_flow_checkpoint(file, model_file, transformer, device, dtype)
    identified = inspect(file.shapes, file.metadata)
    if identified.kind != "checkpoint":
        raise ModelUnavailable(f"{name} is not a checkpoint")
    if identified.problem:
        raise ModelUnavailable(f"{name} cannot be used: {identified.problem}")
    family = identified.family
    try:
        configs = config_inference.infer(file.shapes, family, file.metadata)
        unet = _unet(file, configs.unet, device, dtype)
        vae: nn.Module = nn.Module()
        if identified.detail["has_vae"]:
            config = config_inference.infer_checkpoint_vae(file.shapes, family, file.metadata)
            vae = _vae(file, config, device, vae_dtype(family, dtype))
        text: list[TextModel] = []
        if configs.text_encoders:
            text = load_text_encoders(file, configs.text_encoders, device, dtype).all
    except BUILDING_ERRORS as error:
        raise ModelUnavailable(f"{name} cannot be used: {reason(error)}") from error
    return LoadedCheckpoint(
        key=key_of(model_file),
        family=family,
        unet=unet,
        vae=cast("AutoencoderKL", vae),
        text_encoder=text[0] if text else cast("TextModel", nn.Module()),
        text_encoder_2=text[1] if len(text) > 1 else None,
        alphas_cumprod=_alphas_cumprod(file, model_file),
        prediction_type=model_file.prediction_type
        or prediction_type(file.shapes, file.metadata)
        or _undeclared_prediction_type(family, unet),
        vae_scaling=configs.vae_scaling,
        size_bytes=sum(size_bytes(module) for module in (unet, vae, *text)),
    )


def _undeclared_prediction_type(family: str, unet: UNet2DConditionModel) -> str:
    return detect_prediction_type(unet) if family == "sd2" else "epsilon"


def vae_dtype(family: str, dtype: torch.dtype) -> torch.dtype:
    """Dtype of the VAE: float32 for SDXL instead of float16, in which its activations overflow."""
    return torch.float32 if family == "sdxl" and dtype == torch.float16 else dtype


def expected_size(file: TensorFile, dtype: torch.dtype) -> int:
    """Size of the loaded model in bytes, estimated from the tensor shapes; EMA weights are not loaded."""
    used = [shape for name, shape in file.shapes.items() if name.startswith(PREFIXES)]
    return sum(map(prod, used or file.shapes.values())) * dtype.itemsize


def _alphas_cumprod(file: TensorFile, model_file: ModelFile) -> Tensor:
    override = model_file.zero_terminal_snr
    rescaled = zero_terminal_snr(file.shapes, file.metadata) if override is None else override
    alphas = alphas_cumprod()
    return torch.from_numpy(with_zero_terminal_snr(alphas) if rescaled else alphas)


def _unet(file: TensorFile, config: Config, device: torch.device, dtype: torch.dtype) -> UNet2DConditionModel:
    unet = without_weights(lambda: UNet2DConditionModel(**config))
    state = to_diffusers(file, UNET_PREFIX, unet_pairs(config), unet.state_dict())
    return with_weights(unet, state, device, dtype).to(memory_format=torch.channels_last)


def _vae(file: TensorFile, config: Config, device: torch.device, dtype: torch.dtype) -> AutoencoderKL:
    vae = without_weights(lambda: AutoencoderKL(**config))
    state = to_diffusers(file, VAE_PREFIX, vae_pairs(config), vae.state_dict())
    return with_weights(vae, state, device, dtype).to(memory_format=torch.channels_last)
