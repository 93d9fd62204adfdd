"""Infers a ControlNetModel configuration from tensor shapes, in the LDM or the diffusers layout.

This module does not import torch.
"""

from __future__ import annotations

from itertools import count

from .config_inference import (
    Config,
    Level,
    depth_of,
    levels_of,
    read_overrides,
    shape_of,
    size_conditioning,
)
from .safetensors_header import Metadata, Shapes
from .safetensors_models import CONTROL, name_shapes_below

HINT = "controlnet_cond_embedding"


def is_ldm(shapes: Shapes) -> bool:
    return not any(name.startswith(HINT) for name in shapes)


def infer_controlnet(shapes: Shapes, family: str, metadata: Metadata) -> Config:
    """Infer the configuration. Raises ValueError if a tensor is missing or the architecture is unknown."""
    shapes = name_shapes_below(shapes, CONTROL) or shapes
    if "task_embedding" in shapes:
        raise ValueError("union ControlNets are not supported")
    infer = _ldm if is_ldm(shapes) else _diffusers
    return infer(shapes, family) | read_overrides(metadata)["controlnet"]


def _ldm(shapes: Shapes, family: str) -> Config:
    levels, middle = levels_of(shapes), depth_of(shapes, "middle_block.1")
    config = _config(levels, middle, family) | {
        "in_channels": shape_of(shapes, "input_blocks.0.0.weight")[1],
        "conditioning_channels": shape_of(shapes, "input_hint_block.0.weight")[1],
        "conditioning_embedding_out_channels": _hint_channels(
            shapes, "input_hint_block.{}.weight", range(0, 400, 4)
        ),
        "cross_attention_dim": shape_of(shapes, "middle_block.1.transformer_blocks.0.attn2.to_k.weight")[1],
        "use_linear_projection": len(shape_of(shapes, "middle_block.1.proj_in.weight")) == 2,
    }
    return config | size_conditioning(shapes)


def _diffusers(shapes: Shapes, family: str) -> Config:
    levels, middle = _diffusers_levels(shapes), depth_of(shapes, "mid_block.attentions.0")
    first = shape_of(shapes, f"{HINT}.conv_in.weight")
    config = _config(levels, middle, family) | {
        "in_channels": shape_of(shapes, "conv_in.weight")[1],
        "conditioning_channels": first[1],
        "conditioning_embedding_out_channels": [
            first[0],
            *_hint_channels(shapes, f"{HINT}.blocks.{{}}.weight", range(1, 200, 2)),
        ],
        "cross_attention_dim": shape_of(
            shapes, "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight"
        )[1],
        "use_linear_projection": len(shape_of(shapes, "mid_block.attentions.0.proj_in.weight")) == 2,
    }
    if "add_embedding.linear_1.weight" in shapes:
        config |= size_conditioning(
            {"label_emb.0.0.weight": shape_of(shapes, "add_embedding.linear_1.weight")}
        )
    return config


def _diffusers_levels(shapes: Shapes) -> list[Level]:
    levels: list[Level] = []
    while first := shapes.get(f"down_blocks.{len(levels)}.resnets.0.conv1.weight"):
        block = f"down_blocks.{len(levels)}"
        layers = next(n for n in count() if f"{block}.resnets.{n}.conv1.weight" not in shapes)
        levels.append(Level(first[0], layers, depth_of(shapes, f"{block}.attentions.0")))
    if not levels:
        raise ValueError("unsupported ControlNet architecture")
    return levels


def _config(levels: list[Level], middle: int, family: str) -> Config:
    widths = [level.width for level in levels]
    return {
        "block_out_channels": widths,
        "layers_per_block": levels[0].layers,
        "down_block_types": ["CrossAttnDownBlock2D" if level.depth else "DownBlock2D" for level in levels],
        "transformer_layers_per_block": [
            *(level.depth or 1 for level in levels[:-1]),
            levels[-1].depth or middle,
        ],
        "norm_num_groups": 32,
        "attention_head_dim": 8 if family == "sd15" else [max(1, width // 64) for width in widths],
    }


def _hint_channels(shapes: Shapes, name: str, indices: range) -> list[int]:
    """Output channels of the hint's downsampling convolutions, without the last one of the LDM layout."""
    channels = [shapes[name.format(index)][0] for index in indices if name.format(index) in shapes]
    if not channels:
        raise ValueError("missing the convolutions of the conditioning embedding")
    return channels
