"""Preprocessors depth_anything and depth_anything_v2 (Yang et al. 2024), from files with transformers' key names."""

from __future__ import annotations

import re

import torch
from torch import nn
from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

from gpu_runner.networks.tensor_file import TensorFile

from .arrays import Pixels, gray_to_rgb
from .tensors import batch_of, plane_of

PATCH = 14
HEAD_WIDTH = 64
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
V2_LARGE_LAYERS = [5, 12, 18, 24]


def build(file: TensorFile) -> nn.Module:
    """Depth Anything v1: the depth head uses the last four layers of the backbone."""
    layers = _layers(file)
    return _built(file, list(range(layers - 3, layers + 1)))


def build_v2(file: TensorFile) -> nn.Module:
    """Depth Anything v2: the depth head uses four layers distributed over the backbone."""
    layers = _layers(file)
    even = [layers * part // 4 for part in (1, 2, 3, 4)]
    return _built(file, V2_LARGE_LAYERS if layers == V2_LARGE_LAYERS[-1] else even)


def _layers(file: TensorFile) -> int:
    found = (re.match(r"backbone\.encoder\.layer\.(\d+)\.", name) for name in file)
    return 1 + max(int(match[1]) for match in found if match)


def _built(file: TensorFile, out_indices: list[int]) -> nn.Module:
    width = file.shapes["backbone.embeddings.cls_token"][-1]
    patches = file.shapes["backbone.embeddings.position_embeddings"][1] - 1
    backbone = Dinov2Config(
        hidden_size=width,
        num_hidden_layers=_layers(file),
        num_attention_heads=max(1, width // HEAD_WIDTH),
        image_size=round(patches**0.5) * PATCH,
        patch_size=PATCH,
        out_indices=out_indices,
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


def detect(network: nn.Module, pixels: Pixels) -> Pixels:
    """Return the depth map; near is white."""
    batch = batch_of(network, pixels, PATCH) / 255
    mean, deviation = (torch.tensor(value, device=batch.device).view(3, 1, 1) for value in (MEAN, DEVIATION))
    near = plane_of(network(pixel_values=(batch - mean) / deviation).predicted_depth, pixels)
    low, high = float(near.min()), float(near.max())
    return gray_to_rgb((near - low) / max(high - low, 1e-6) * 255)
