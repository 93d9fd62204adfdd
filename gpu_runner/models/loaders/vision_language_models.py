"""Loads Qwen2.5-VL with its vision part, for families whose text encoder reads the reference images."""

from __future__ import annotations

from itertools import count
from typing import Any

import torch
from torch import nn
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLModel

from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol.model_detection.config_inference import Shapes, read_overrides, shape_of
from gpu_runner.protocol.prompt.qwen_tokenizer import IMAGE, IMAGE_END, IMAGE_START

from .language_models import HEAD
from .meta_init import with_weights, without_weights

VISION_HEAD = 80  # width of an attention head of the vision part
AXES = (
    16,
    24,
)  # of 64 pairs of a head, those that turn with the time and with the row; the rest turns with the column
FULL_ATTENTION = [7, 15, 23, 31]  # blocks whose attention is not limited to windows


def load_qwen2_5_vl(
    file: TensorFile, prefix: str, vision: str, device: torch.device, dtype: torch.dtype
) -> nn.Module:
    """Build the language model and the vision part. ``prefix`` precedes "layers.0", ``vision`` "blocks.0".

    Raises one of BUILDING_ERRORS. All sizes come from the shapes.
    """
    text = _shapes(file, prefix)
    heads = read_overrides(file.metadata)["text_encoder"].get("num_attention_heads")
    config = Qwen2_5_VLConfig(
        text_config=_text_config(text, heads),
        vision_config=_vision_config(_shapes(file, vision)),
        image_token_id=IMAGE,
        vision_start_token_id=IMAGE_START,
        vision_end_token_id=IMAGE_END,
        attn_implementation="sdpa",
    )
    model: Any = without_weights(lambda: Qwen2_5_VLModel(config))
    # Their buffers are no part of the file.
    language, visual = model.language_model, model.visual
    language.rotary_emb = type(language.rotary_emb)(config.text_config).to(device)
    visual.rotary_pos_emb = type(visual.rotary_pos_emb)(config.vision_config).to(device)
    prefixes = {"language_model": prefix, "visual": vision}
    state = {}
    for name in model.state_dict():
        part, _dot, rest = name.partition(".")
        state[name] = file[f"{prefixes[part]}{rest}"]
    return with_weights(model, state, device, dtype)


def _shapes(file: TensorFile, prefix: str) -> Shapes:
    return {name.removeprefix(prefix): file.shapes[name] for name in file.shapes if name.startswith(prefix)}


def _text_config(shapes: Shapes, heads: Any) -> dict[str, Any]:
    vocabulary, width = shape_of(shapes, "embed_tokens.weight")
    heads = int(heads or max(1, width // HEAD))
    pairs = width // heads // 2
    time, rows = (pairs * share // 64 for share in AXES)
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": shape_of(shapes, "layers.0.mlp.gate_proj.weight")[0],
        "num_hidden_layers": next(n for n in count() if f"layers.{n}.mlp.gate_proj.weight" not in shapes),
        "num_attention_heads": heads,
        "num_key_value_heads": shape_of(shapes, "layers.0.self_attn.k_proj.weight")[0] // (width // heads),
        "rms_norm_eps": 1e-6,
        "max_position_embeddings": 128000,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1_000_000.0,
            "mrope_section": [time, rows, pairs - time - rows],
        },
    }


def _vision_config(shapes: Shapes) -> dict[str, Any]:
    width, channels, frames, patch, _patch = shape_of(shapes, "patch_embed.proj.weight")
    return {
        "depth": next(n for n in count() if f"blocks.{n}.attn.qkv.weight" not in shapes),
        "hidden_size": width,
        "intermediate_size": shape_of(shapes, "blocks.0.mlp.gate_proj.weight")[0],
        "num_heads": max(1, width // VISION_HEAD),
        "in_channels": channels,
        "patch_size": patch,
        "temporal_patch_size": frames,
        "out_hidden_size": shape_of(shapes, "merger.mlp.2.weight")[0],
        "fullatt_block_indexes": FULL_ATTENTION,
    }
