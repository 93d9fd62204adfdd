"""Loads a ControlNet of a diffusion transformer into its class of diffusers."""

from __future__ import annotations

from typing import Any

import diffusers
import torch
from torch import nn

from gpu_runner.models.conversion.transformer_keys import to_diffusers
from gpu_runner.networks.loaded import LoadedCheckpoint, LoadedControlNet, LoadedFlowControlNet
from gpu_runner.networks.module_copies import size_bytes
from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.model_detection.config_inference import read_overrides
from gpu_runner.protocol.model_detection.fitting import width_misfit
from gpu_runner.protocol.model_detection.transformers.controlnets.z_image import BEFORE
from gpu_runner.protocol.model_detection.transformers.recognition import FoundTransformer

from .meta_init import BUILDING_ERRORS, reason, with_weights, without_weights


def load_flow_controlnet(
    file: TensorFile, found: FoundTransformer, name: str, key: str, device: torch.device, dtype: torch.dtype
) -> LoadedFlowControlNet:
    """Load a ControlNet. Raises ModelUnavailable. float16 becomes bfloat16, as that of the transformer."""
    dtype = torch.bfloat16 if dtype == torch.float16 else dtype
    try:
        detail = found.transformer.detail(found.conversion.shapes)
        net = _net(file, found, device, dtype)
    except BUILDING_ERRORS as error:
        raise ModelUnavailable(f"{name} cannot be used: {reason(error)}") from error
    size = size_bytes(net)
    embedding = getattr(net, "input_hint_block", None)
    if embedding is not None:
        net.input_hint_block = None
    return LoadedFlowControlNet(
        key,
        found.transformer.family,
        net,
        nn.Identity() if embedding is None else embedding,
        pools=False,
        size_bytes=size,
        device=device,
        dtype=dtype,
        residuals=detail["residuals"],
        modes=detail.get("modes", 0),
        mask=detail.get("mask", ""),
        reads_pixels=embedding is not None,
    )


def _net(file: TensorFile, found: FoundTransformer, device: torch.device, dtype: torch.dtype) -> Any:
    if found.conversion.missing:
        raise KeyError(found.conversion.missing[0])
    config = found.config()
    if config.get("add_control_noise_refiner") and not _refines_noise(file, found.prefix):
        config["add_control_noise_refiner"] = "control_layers"
    build: Any = getattr(diffusers, found.transformer.class_name)
    net = without_weights(lambda: build(**config | read_overrides(file.metadata)["controlnet"]))
    if isinstance(net, diffusers.QwenImageControlNetModel):  # its tables of positions are in no file
        embed = net.pos_embed
        net.pos_embed = type(embed)(embed.theta, embed.axes_dim, scale_rope=embed.scale_rope)
    names, state = net.state_dict(), to_diffusers(file, found.conversion)
    return with_weights(net, {name: state[name] for name in names}, device, dtype)


def _refines_noise(file: TensorFile, prefix: str) -> bool:
    """Whether a ControlNet of Z-Image has trained layers before the transformer's; version 2.0 has untrained ones."""
    name = f"{prefix}{BEFORE}"
    return name in file.shapes and bool(file[name].any())


def check_width(controlnet: LoadedControlNet, checkpoint: LoadedCheckpoint, name: str) -> None:
    """Raises ModelUnavailable if the ControlNet is not for this transformer. Admission refuses what the scan has seen."""
    if not isinstance(controlnet, LoadedFlowControlNet) or controlnet.family != checkpoint.family:
        raise ModelUnavailable(f"{name} is a ControlNet for another family of checkpoints")
    if difference := width_misfit(_width(controlnet.net), _width(checkpoint.unet)):
        raise ModelUnavailable(f"{name} is a ControlNet for another family of checkpoints: {difference}")


def _width(network: Any) -> int:
    return int(getattr(network, "inner_dim", None) or network.config["dim"])
