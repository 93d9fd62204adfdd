"""OpenCLIP's text model, as the files of Stable Diffusion 2 and XL hold it, in the names of transformers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

LAYER = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}


def open_clip_to_transformers(state: Mapping[str, Tensor], prefix: str, layers: int) -> dict[str, Tensor]:
    """The first ``layers`` layers below ``prefix``. KeyError names a tensor that is missing."""
    result = {
        "embeddings.token_embedding.weight": state[f"{prefix}token_embedding.weight"],
        "embeddings.position_embedding.weight": state[f"{prefix}positional_embedding"],
    }
    if f"{prefix}text_projection" in state:
        result["text_projection.weight"] = state[f"{prefix}text_projection"].T
    for kind in ("weight", "bias"):
        result[f"final_layer_norm.{kind}"] = state[f"{prefix}ln_final.{kind}"]
        for layer in range(layers):
            result |= _layer(state, prefix, layer, kind)
    return result


def _layer(state: Mapping[str, Tensor], prefix: str, layer: int, kind: str) -> dict[str, Tensor]:
    theirs, ours = f"{prefix}transformer.resblocks.{layer}", f"encoder.layers.{layer}"
    result = {f"{ours}.{new}.{kind}": state[f"{theirs}.{old}.{kind}"] for old, new in LAYER.items()}
    joined = state[f"{theirs}.attn.in_proj_{kind}"].chunk(3)
    return result | {
        f"{ours}.self_attn.{part}_proj.{kind}": piece for part, piece in zip("qkv", joined, strict=True)
    }


def transformers_to_open_clip(state: Mapping[str, Tensor], prefix: str, layers: int) -> dict[str, Tensor]:
    """The inverse, for writing a file. ``state`` without the prefix ``text_model.``; its tensors may be mere shapes."""
    result = {
        f"{prefix}token_embedding.weight": state["embeddings.token_embedding.weight"],
        f"{prefix}positional_embedding": state["embeddings.position_embedding.weight"],
    }
    if "text_projection.weight" in state:
        result[f"{prefix}text_projection"] = state["text_projection.weight"].T
    for kind in ("weight", "bias"):
        result[f"{prefix}ln_final.{kind}"] = state[f"final_layer_norm.{kind}"]
        for layer in range(layers):
            theirs, ours = f"{prefix}transformer.resblocks.{layer}", f"encoder.layers.{layer}"
            result |= {f"{theirs}.{old}.{kind}": state[f"{ours}.{new}.{kind}"] for old, new in LAYER.items()}
            parts = [state[f"{ours}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
            result[f"{theirs}.attn.in_proj_{kind}"] = torch.cat(parts)
    return result
