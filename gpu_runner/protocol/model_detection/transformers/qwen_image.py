"""Qwen-Image and Qwen-Image-Edit. All tools write the names of diffusers."""

from __future__ import annotations

import re

from .bfl_blocks import ADDED_QKV, QKV
from .key_map import MATRIX, KeyMap, Shapes, Stack, number_of_blocks, rule
from .transformer import Config, Transformer, rotary_axes, width_of

ZERO_CONDITION = "__index_timestep_zero__"  # ComfyUI's marker of Qwen-Image-Edit-2511
ADDITION = "time_text_embed.addition_t_embedding.weight"  # Qwen-Image-Layered
STREAM = ("mod.1", "mlp.net.0.proj", "mlp.net.2")
KEY_MAP = KeyMap(
    top=(
        rule("img_in"),
        rule("txt_in"),
        rule("txt_norm", endings=MATRIX),
        rule("time_text_embed.timestep_embedder.linear_1"),
        rule("time_text_embed.timestep_embedder.linear_2"),
        rule("time_text_embed.addition_t_embedding", endings=MATRIX, optional=True),
        rule("norm_out.linear"),
        rule("proj_out"),
    ),
    stacks=(
        Stack(
            "transformer_blocks",
            "transformer_blocks",
            (
                *(rule(f"attn.{name}") for name in (*QKV, *ADDED_QKV, "to_out.0", "to_add_out")),
                *(rule(f"attn.norm_{name}", endings=MATRIX) for name in ("q", "k", "added_q", "added_k")),
                *(rule(f"{stream}_{name}") for stream in ("img", "txt") for name in STREAM),
            ),
        ),
    ),
    ignored=re.compile(rf"^{ZERO_CONDITION}$"),
)


def config(shapes: Shapes) -> Config:
    width = width_of(shapes, "img_in.weight", 0)
    head = width_of(shapes, "transformer_blocks.0.attn.norm_q.weight", 0)
    return {
        "patch_size": 2,
        "in_channels": width_of(shapes, "img_in.weight", 1),
        "out_channels": width_of(shapes, "proj_out.weight", 0) // 4,
        "num_layers": number_of_blocks(shapes, "transformer_blocks"),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": width_of(shapes, "txt_in.weight", 1),
        "axes_dims_rope": rotary_axes(head, (16, 56, 56)),
        "use_additional_t_cond": ADDITION in shapes,
    }


def variant(shapes: Shapes) -> Config:
    """Only ComfyUI's files of Edit-2511 are told apart. ``shapes``: also in the names of the file."""
    return {"variant": "edit_2511"} if ZERO_CONDITION in shapes else {}


def not_drawn(shapes: Shapes) -> str:
    if ADDITION in shapes:
        return "it is a Qwen-Image-Layered model, which is not supported"
    return ""


MARKS = ("transformer_blocks.0.img_mod.1.weight", "txt_norm.weight", "img_in.weight")
QWEN_IMAGE = Transformer(
    family="qwen_image",
    class_name="QwenImageTransformer2DModel",
    key_map=KEY_MAP,
    marks={"diffusers": MARKS},
    config=config,
    context="txt_in.weight",
    detail=variant,
    not_drawn=not_drawn,
)
