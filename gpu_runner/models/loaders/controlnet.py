"""Loads a single-file ControlNet, in the LDM or the diffusers layout, into a diffusers ControlNetModel."""

from __future__ import annotations

import torch
from diffusers import ControlNetModel
from torch import nn

from gpu_runner.models.conversion.ldm_keys import controlnet_pairs, to_diffusers
from gpu_runner.networks.loaded import LoadedCheckpoint, LoadedControlNet, LoadedFlowControlNet
from gpu_runner.networks.module_copies import size_bytes
from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.model_detection.config_inference import Config
from gpu_runner.protocol.model_detection.controlnet_config import infer_controlnet, is_ldm
from gpu_runner.protocol.model_detection.fitting import control_misfit
from gpu_runner.protocol.model_detection.safetensors_models import CONTROL, name_shapes_below
from gpu_runner.protocol.model_detection.transformers.controlnets.recognition import (
    find_transformer_controlnet,
)
from gpu_runner.protocol.model_detection.usability import inspect

from .flow_controlnet import check_width, load_flow_controlnet
from .meta_init import BUILDING_ERRORS, reason, with_weights, without_weights


def load_controlnet(
    file: TensorFile, name: str, key: str, device: torch.device, dtype: torch.dtype
) -> LoadedControlNet:
    """Load a ControlNet. Raises ModelUnavailable."""
    if found := find_transformer_controlnet(file.shapes):
        return load_flow_controlnet(file, found, name, key, device, dtype)
    identified = inspect(file.shapes, file.metadata)
    if identified.kind != "controlnet":
        raise ModelUnavailable(f"{name} is not a ControlNet")
    if identified.problem:
        raise ModelUnavailable(f"{name} cannot be used: {identified.problem}")
    try:
        config = infer_controlnet(file.shapes, identified.family, file.metadata)
        pools = bool(config.setdefault("global_pool_conditions", "shuffle" in name.lower()))
        net = _net(file, config, device, dtype)
    except BUILDING_ERRORS as error:
        raise ModelUnavailable(f"{name} cannot be used: {reason(error)}") from error
    size = size_bytes(net)
    embedding, net.controlnet_cond_embedding = net.controlnet_cond_embedding, nn.Identity()
    return LoadedControlNet(key, identified.family, net, embedding, pools, size, device, dtype)


def check_family(controlnet: LoadedControlNet, checkpoint: LoadedCheckpoint, name: str) -> None:
    """Raises ModelUnavailable if the ControlNet does not match the checkpoint's architecture.

    Admission refuses what the scan has seen.
    """
    if checkpoint.facts.flow is not None or isinstance(controlnet, LoadedFlowControlNet):
        check_width(controlnet, checkpoint, name)
    elif difference := control_misfit(controlnet.net.config, checkpoint.unet.config):
        raise ModelUnavailable(f"{name} is a ControlNet for another family of checkpoints: {difference}")


def _net(file: TensorFile, config: Config, device: torch.device, dtype: torch.dtype) -> ControlNetModel:
    net = without_weights(lambda: ControlNetModel(**config))
    prefix = CONTROL if any(name.startswith(CONTROL) for name in file.shapes) else ""
    names = net.state_dict()
    if is_ldm(name_shapes_below(file.shapes, prefix)):
        state = to_diffusers(file, prefix, controlnet_pairs(config), names)
    else:
        state = {name: file[f"{prefix}{name}"] for name in names}
    return with_weights(net, state, device, dtype).to(memory_format=torch.channels_last)
