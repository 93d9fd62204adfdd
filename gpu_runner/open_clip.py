"""OpenCLIP's text model, as Stable Diffusion 2 files hold it, in the names of transformers."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

OPEN_CLIP_PREFIX = "cond_stage_model.model."
LAYER = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}


def open_clip_to_transformers(state: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """The first ``layers`` layers. KeyError names a tensor that is missing."""
    result = {
        "embeddings.token_embedding.weight": state[f"{OPEN_CLIP_PREFIX}token_embedding.weight"],
        "embeddings.position_embedding.weight": state[f"{OPEN_CLIP_PREFIX}positional_embedding"],
    }
    for kind in ("weight", "bias"):
        result[f"final_layer_norm.{kind}"] = state[f"{OPEN_CLIP_PREFIX}ln_final.{kind}"]
        for layer in range(layers):
            result |= _layer(state, layer, kind)
    return result


def _layer(state: Mapping[str, Tensor], layer: int, kind: str) -> dict[str, Tensor]:
    theirs, ours = f"{OPEN_CLIP_PREFIX}transformer.resblocks.{layer}", f"encoder.layers.{layer}"
    result = {f"{ours}.{new}.{kind}": state[f"{theirs}.{old}.{kind}"] for old, new in LAYER.items()}
    joined = state[f"{theirs}.attn.in_proj_{kind}"].chunk(3)
    return result | {
        f"{ours}.self_attn.{part}_proj.{kind}": piece for part, piece in zip("qkv", joined, strict=True)
    }
