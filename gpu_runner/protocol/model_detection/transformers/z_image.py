"""Z-Image (Turbo and base)."""

from __future__ import annotations

import re

from .bfl_blocks import QKV
from .key_map import BARE, MATRIX, KeyMap, Rule, Shapes, Stack, number_of_blocks, rule
from .transformer import Config, Transformer, rotary_axes, width_of

SAME = (
    "attention_norm1",
    "attention_norm2",
    "ffn_norm1",
    "ffn_norm2",
    *(f"feed_forward.w{i}" for i in (1, 2, 3)),
)
BLOCK: tuple[Rule, ...] = (
    rule("attention.qkv", *(f"attention.{name}" for name in QKV), endings=MATRIX),
    rule("attention.out", "attention.to_out.0", endings=MATRIX),
    rule("attention.q_norm", "attention.norm_q", endings=MATRIX),
    rule("attention.k_norm", "attention.norm_k", endings=MATRIX),
    *(rule(name, endings=MATRIX) for name in SAME),
)
MODULATED = (*BLOCK, rule("adaLN_modulation.0"))
KEY_MAP = KeyMap(
    top=(
        rule("x_embedder", "all_x_embedder.2-1"),
        rule("final_layer.linear", "all_final_layer.2-1.linear"),
        rule("final_layer.adaLN_modulation.1", "all_final_layer.2-1.adaLN_modulation.1"),
        rule("t_embedder.mlp.0"),
        rule("t_embedder.mlp.2"),
        rule("cap_embedder.0", endings=MATRIX),
        rule("cap_embedder.1"),
        rule("x_pad_token", endings=BARE),
        rule("cap_pad_token", endings=BARE),
    ),
    stacks=(
        Stack("noise_refiner", "noise_refiner", MODULATED),
        Stack("context_refiner", "context_refiner", BLOCK),
        Stack("layers", "layers", MODULATED),
    ),
    ignored=re.compile(r"^norm_final\.weight$"),
)


def config(shapes: Shapes) -> Config:
    width = width_of(shapes, "all_x_embedder.2-1.weight", 0)
    head = width_of(shapes, "layers.0.attention.norm_q.weight", 0)
    return {
        "in_channels": width_of(shapes, "all_x_embedder.2-1.weight", 1) // 4,
        "dim": width,
        "n_layers": number_of_blocks(shapes, "layers"),
        "n_refiner_layers": number_of_blocks(shapes, "noise_refiner"),
        "n_heads": width // head,
        "n_kv_heads": width_of(shapes, "layers.0.attention.to_k.weight", 0) // head,
        "cap_feat_dim": width_of(shapes, "cap_embedder.1.weight", 1),
        "axes_dims": list(rotary_axes(head, (32, 48, 48))),
        "axes_lens": [1536, 512, 512],
    }


Z_IMAGE = Transformer(
    family="z_image",
    class_name="ZImageTransformer2DModel",
    key_map=KEY_MAP,
    marks={
        "original": ("cap_pad_token", "layers.0.attention.qkv.weight", "x_embedder.weight"),
        "diffusers": ("cap_pad_token", "layers.0.attention.to_q.weight", "all_x_embedder.2-1.weight"),
    },
    config=config,
    context="cap_embedder.1.weight",
    not_drawn=lambda shapes: (
        "it is a Z-Image Omni model, which is not supported" if "siglip_embedder.0.weight" in shapes else ""
    ),
)
