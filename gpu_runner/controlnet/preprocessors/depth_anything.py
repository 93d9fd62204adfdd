"""Depth Anything (Yang et al. 2024) and its second version, from files in the layout of transformers."""

from __future__ import annotations

import re

import torch
from torch import nn
from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

from gpu_runner.networks.tensor_file import TensorFile

from .arrays import Pixels, three
from .tensors import batch_of, plane_of

PATCH = 14
HEAD_WIDTH = 64
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's
SECOND_OF_LARGE = [5, 12, 18, 24]


def build(file: TensorFile) -> nn.Module:
    layers = _layers(file)
    return _built(file, list(range(layers - 3, layers + 1)))


def build_second(file: TensorFile) -> nn.Module:
    """It reads the states of layers all through the network."""
    layers = _layers(file)
    even = [layers * part // 4 for part in (1, 2, 3, 4)]
    return _built(file, SECOND_OF_LARGE if layers == SECOND_OF_LARGE[-1] else even)


def _layers(file: TensorFile) -> int:
    found = (re.match(r"backbone\.encoder\.layer\.(\d+)\.", name) for name in file)
    return 1 + max(int(match[1]) for match in found if match)


def _built(file: TensorFile, places: list[int]) -> nn.Module:
    width = file.shapes["backbone.embeddings.cls_token"][-1]
    patches = file.shapes["backbone.embeddings.position_embeddings"][1] - 1
    backbone = Dinov2Config(
        hidden_size=width,
        num_hidden_layers=_layers(file),
        num_attention_heads=max(1, width // HEAD_WIDTH),
        image_size=round(patches**0.5) * PATCH,
        patch_size=PATCH,
        out_indices=places,
        reshape_hidden_states=False,
    )
    network = DepthAnythingForDepthEstimation(
        DepthAnythingConfig(
            backbone_config=backbone,
            reassemble_hidden_size=width,
            neck_hidden_sizes=[
                file.shapes[f"neck.reassemble_stage.layers.{i}.projection.weight"][0] for i in range(4)
            ],
            fusion_hidden_size=file.shapes["neck.convs.0.weight"][0],
            head_hidden_size=file.shapes["head.conv2.weight"][0],
        )
    )
    network.load_state_dict({name: file[name] for name in network.state_dict()})
    return network


def draw(network: nn.Module, pixels: Pixels) -> Pixels:
    """Near is white."""
    batch = batch_of(network, pixels, PATCH) / 255
    mean, deviation = (torch.tensor(value, device=batch.device).view(3, 1, 1) for value in (MEAN, DEVIATION))
    near = plane_of(network(pixel_values=(batch - mean) / deviation).predicted_depth, pixels)
    low, high = float(near.min()), float(near.max())
    return three((near - low) / max(high - low, 1e-6) * 255)
