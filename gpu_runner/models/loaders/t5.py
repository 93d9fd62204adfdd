"""Loads the encoder of T5 1.1."""

from __future__ import annotations

from itertools import count

import torch
from torch import nn
from transformers import T5Config, T5EncoderModel

from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol.model_detection.config_inference import shape_of
from gpu_runner.protocol.model_detection.safetensors_models import name_shapes_below

from .meta_init import with_weights, without_weights

TABLE, TIED_TABLE = "shared.weight", "encoder.embed_tokens.weight"
ATTENTION = "encoder.block.0.layer.0.SelfAttention"


def load_t5(file: TensorFile, prefix: str, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Build the encoder below ``prefix``; all sizes come from the shapes. Raises one of BUILDING_ERRORS."""
    shapes = name_shapes_below(file.shapes, prefix) if prefix else file.shapes
    table = TABLE if TABLE in shapes else TIED_TABLE
    vocabulary, width = shape_of(shapes, table)
    buckets, heads = shape_of(shapes, f"{ATTENTION}.relative_attention_bias.weight")
    config = T5Config(
        vocab_size=vocabulary,
        d_model=width,
        d_kv=shape_of(shapes, f"{ATTENTION}.q.weight")[0] // heads,
        d_ff=shape_of(shapes, "encoder.block.0.layer.1.DenseReluDense.wi_0.weight")[0],
        num_layers=next(n for n in count() if f"encoder.block.{n}.layer.0.layer_norm.weight" not in shapes),
        num_heads=heads,
        relative_attention_num_buckets=buckets,
        feed_forward_proj="gated-gelu",
    )
    model = without_weights(lambda: T5EncoderModel(config))
    tied = {TABLE: table, TIED_TABLE: table}
    state = {name: file[f"{prefix}{tied.get(name, name)}"] for name in model.state_dict()}
    loaded = with_weights(model, state, device, dtype)
    loaded.encoder.embed_tokens.weight = loaded.shared.weight  # one table instead of two copies
    return loaded
