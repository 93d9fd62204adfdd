"""Loads language models whose hidden states are the conditioning of a family: Qwen3, and the texts of Qwen2.5-VL."""

from __future__ import annotations

from itertools import count
from typing import Any

import torch
from torch import nn
from transformers import Qwen2Config, Qwen2Model, Qwen3Config, Qwen3Model

from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol.model_detection.config_inference import read_overrides, shape_of

from .meta_init import with_weights, without_weights


def load_qwen3(file: TensorFile, prefix: str, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Build a Qwen3 without its last layer and final norm: Z-Image uses the states before that layer.

    Raises one of BUILDING_ERRORS. ``prefix`` precedes "layers.0"; all sizes come from the shapes.
    """
    shapes = {name.removeprefix(prefix): file.shapes[name] for name in file.shapes if name.startswith(prefix)}
    vocabulary, width = shape_of(shapes, "embed_tokens.weight")
    layers = next(n for n in count() if f"layers.{n}.mlp.gate_proj.weight" not in shapes)
    head = shape_of(shapes, "layers.0.self_attn.q_norm.weight")[0]
    config = Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=shape_of(shapes, "layers.0.mlp.gate_proj.weight")[0],
        num_hidden_layers=layers - 1,
        num_attention_heads=shape_of(shapes, "layers.0.self_attn.q_proj.weight")[0] // head,
        num_key_value_heads=shape_of(shapes, "layers.0.self_attn.k_proj.weight")[0] // head,
        head_dim=head,
        rope_theta=1_000_000.0,
        rms_norm_eps=1e-6,
        max_position_embeddings=40960,
        attn_implementation="sdpa",
    )
    model: Any = without_weights(lambda: Qwen3Model(config))
    model.norm = nn.Identity()
    model.rotary_emb = type(model.rotary_emb)(config).to(device)  # its buffer is no part of the file
    return with_weights(model, {name: file[f"{prefix}{name}"] for name in model.state_dict()}, device, dtype)


HEAD = 128  # width of an attention head of Qwen2.5-VL


def load_qwen2(file: TensorFile, prefix: str, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Build the language model of Qwen2.5-VL, for texts without images, whose three positions are one. The vision part is
    not read.

    Raises one of BUILDING_ERRORS. ``prefix`` precedes "layers.0".
    """
    shapes = {name.removeprefix(prefix): file.shapes[name] for name in file.shapes if name.startswith(prefix)}
    overrides = read_overrides(file.metadata)["text_encoder"]
    vocabulary, width = shape_of(shapes, "embed_tokens.weight")
    heads = int(overrides.get("num_attention_heads", max(1, width // HEAD)))
    keys = shape_of(shapes, "layers.0.self_attn.k_proj.weight")[0]
    config = Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=shape_of(shapes, "layers.0.mlp.gate_proj.weight")[0],
        num_hidden_layers=next(n for n in count() if f"layers.{n}.mlp.gate_proj.weight" not in shapes),
        num_attention_heads=heads,
        num_key_value_heads=keys // (width // heads),
        rope_theta=1_000_000.0,
        rms_norm_eps=1e-6,
        max_position_embeddings=32768,
        attn_implementation="sdpa",
    )
    model: Any = without_weights(lambda: Qwen2Model(config))
    model.rotary_emb = type(model.rotary_emb)(config).to(device)
    return with_weights(model, {name: file[f"{prefix}{name}"] for name in model.state_dict()}, device, dtype)
