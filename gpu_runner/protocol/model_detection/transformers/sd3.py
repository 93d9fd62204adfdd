"""Stable Diffusion 3 and 3.5 (MMDiT, and MMDiT-X of 3.5 medium)."""

from __future__ import annotations

from math import isqrt

from .bfl_blocks import ADDED_QKV, QKV
from .key_map import BARE, MATRIX, KeyMap, Shapes, Stack, number_of_blocks, rule
from .transformer import Config, Transformer, width_of

X, CONTEXT = "x_block", "context_block"
KEY_MAP = KeyMap(
    top=(
        rule("pos_embed", "pos_embed.pos_embed", endings=BARE),
        rule("x_embedder.proj", "pos_embed.proj"),
        rule("t_embedder.mlp.0", "time_text_embed.timestep_embedder.linear_1"),
        rule("t_embedder.mlp.2", "time_text_embed.timestep_embedder.linear_2"),
        rule("y_embedder.mlp.0", "time_text_embed.text_embedder.linear_1"),
        rule("y_embedder.mlp.2", "time_text_embed.text_embedder.linear_2"),
        rule("context_embedder"),
        rule("final_layer.linear", "proj_out"),
        rule("final_layer.adaLN_modulation.1", "norm_out.linear", swap="always"),
    ),
    stacks=(
        Stack(
            "joint_blocks",
            "transformer_blocks",
            (
                rule(f"{X}.attn.qkv", *(f"attn.{name}" for name in QKV)),
                rule(f"{CONTEXT}.attn.qkv", *(f"attn.{name}" for name in ADDED_QKV)),
                rule(f"{X}.attn.proj", "attn.to_out.0"),
                rule(f"{CONTEXT}.attn.proj", "attn.to_add_out", where="but_last"),
                rule(f"{X}.attn.ln_q", "attn.norm_q", endings=MATRIX, optional=True),
                rule(f"{X}.attn.ln_k", "attn.norm_k", endings=MATRIX, optional=True),
                rule(f"{CONTEXT}.attn.ln_q", "attn.norm_added_q", endings=MATRIX, optional=True),
                rule(f"{CONTEXT}.attn.ln_k", "attn.norm_added_k", endings=MATRIX, optional=True),
                rule(f"{X}.attn2.qkv", *(f"attn2.{name}" for name in QKV), optional=True),
                rule(f"{X}.attn2.proj", "attn2.to_out.0", optional=True),
                rule(f"{X}.attn2.ln_q", "attn2.norm_q", endings=MATRIX, optional=True),
                rule(f"{X}.attn2.ln_k", "attn2.norm_k", endings=MATRIX, optional=True),
                rule(f"{X}.adaLN_modulation.1", "norm1.linear"),
                # The last block's context is only read, so that its normalization has a scale and a shift alone.
                rule(f"{CONTEXT}.adaLN_modulation.1", "norm1_context.linear", swap="last"),
                rule(f"{X}.mlp.fc1", "ff.net.0.proj"),
                rule(f"{X}.mlp.fc2", "ff.net.2"),
                rule(f"{CONTEXT}.mlp.fc1", "ff_context.net.0.proj", where="but_last"),
                rule(f"{CONTEXT}.mlp.fc2", "ff_context.net.2", where="but_last"),
            ),
        ),
    ),
)
HEAD = 64  # width of an attention head in all released models, which shapes only show with normalized queries


def config(shapes: Shapes) -> Config:
    width, channels = (width_of(shapes, "pos_embed.proj.weight", axis) for axis in (0, 1))
    blocks = number_of_blocks(shapes, "transformer_blocks")
    patch = width_of(shapes, "pos_embed.proj.weight", -1)
    head = shapes.get("transformer_blocks.0.attn.norm_q.weight", (HEAD,))[0]
    return {
        "sample_size": 128,
        "patch_size": patch,
        "in_channels": channels,
        "out_channels": width_of(shapes, "proj_out.weight", 0) // patch**2,
        "num_layers": blocks,
        "attention_head_dim": head,
        "num_attention_heads": max(1, width // head),
        "joint_attention_dim": width_of(shapes, "context_embedder.weight", 1),
        "caption_projection_dim": width_of(shapes, "context_embedder.weight", 0),
        "pooled_projection_dim": width_of(shapes, "time_text_embed.text_embedder.linear_1.weight", 1),
        "pos_embed_max_size": isqrt(width_of(shapes, "pos_embed.pos_embed", 1)),
        "dual_attention_layers": tuple(
            block for block in range(blocks) if f"transformer_blocks.{block}.attn2.to_q.weight" in shapes
        ),
        "qk_norm": "rms_norm" if "transformer_blocks.0.attn.norm_q.weight" in shapes else None,
    }


SD3 = Transformer(
    family="sd3",
    class_name="SD3Transformer2DModel",
    key_map=KEY_MAP,
    marks={
        "original": ("joint_blocks.0.context_block.attn.qkv.weight", "y_embedder.mlp.0.weight"),
        "diffusers": ("pos_embed.pos_embed", "transformer_blocks.0.norm1_context.linear.weight"),
    },
    config=config,
    context="context_embedder.weight",
)
