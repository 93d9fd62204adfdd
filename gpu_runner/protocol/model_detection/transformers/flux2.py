"""FLUX.2 (klein 4B and 9B, dev)."""

from __future__ import annotations

from .bfl_blocks import SINGLE_NORMS, attention, embedder, feed_forward
from .key_map import MATRIX, KeyMap, Shapes, Stack, number_of_blocks, rule
from .transformer import Config, Transformer, rotary_axes, width_of

KEY_MAP = KeyMap(
    top=(
        rule("img_in", "x_embedder", endings=MATRIX),
        rule("txt_in", "context_embedder", endings=MATRIX),
        *embedder("time_in", "time_guidance_embed.timestep_embedder", MATRIX),
        *embedder("guidance_in", "time_guidance_embed.guidance_embedder", MATRIX, optional=True),
        *(
            rule(f"{name}.lin", f"{name}.linear", endings=MATRIX)
            for name in (
                "double_stream_modulation_img",
                "double_stream_modulation_txt",
                "single_stream_modulation",
            )
        ),
        rule("final_layer.linear", "proj_out", endings=MATRIX),
        rule("final_layer.adaLN_modulation.1", "norm_out.linear", endings=MATRIX, swap="always"),
    ),
    stacks=(
        Stack(
            "double_blocks",
            "transformer_blocks",
            (*attention(MATRIX), *feed_forward(("linear_in", "linear_out"), MATRIX)),
        ),
        Stack(
            "single_blocks",
            "single_transformer_blocks",
            (
                rule("linear1", "attn.to_qkv_mlp_proj", endings=MATRIX),
                rule("linear2", "attn.to_out", endings=MATRIX),
                *SINGLE_NORMS,
            ),
        ),
    ),
)


def config(shapes: Shapes) -> Config:
    width = width_of(shapes, "x_embedder.weight", 0)
    head = width_of(shapes, "transformer_blocks.0.attn.norm_q.weight", 0)
    return {
        "patch_size": 1,
        "in_channels": width_of(shapes, "x_embedder.weight", 1),
        "out_channels": width_of(shapes, "proj_out.weight", 0),
        "num_layers": number_of_blocks(shapes, "transformer_blocks"),
        "num_single_layers": number_of_blocks(shapes, "single_transformer_blocks"),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": width_of(shapes, "context_embedder.weight", 1),
        "timestep_guidance_channels": width_of(
            shapes, "time_guidance_embed.timestep_embedder.linear_1.weight", 1
        ),
        "mlp_ratio": width_of(shapes, "transformer_blocks.0.ff.linear_out.weight", 1) / width,
        "axes_dims_rope": rotary_axes(head, (32, 32, 32, 32)),
        "guidance_embeds": "time_guidance_embed.guidance_embedder.linear_1.weight" in shapes,
    }


def variant(shapes: Shapes) -> Config:
    """dev reads the guidance; klein does not."""
    return {"variant": "dev" if config(shapes)["guidance_embeds"] else "klein"}


def not_drawn(shapes: Shapes) -> str:
    """Models whose text encoder is not read here. ``shapes``: in the names of the file."""
    if any(name.startswith(("guidance_in.", "time_guidance_embed.guidance_embedder.")) for name in shapes):
        return "it is FLUX.2 dev, whose text encoder Mistral 3 is not supported"
    context = shapes.get("txt_in.weight", shapes.get("context_embedder.weight", ()))
    if len(context) == 2 and context[1] == 3 * QWEN3_8B:
        return "it is FLUX.2 klein 9B, whose text encoder Qwen3-8B is not supported"
    return ""


QWEN3_8B = 4096  # width
FLUX2 = Transformer(
    family="flux2",
    class_name="Flux2Transformer2DModel",
    key_map=KEY_MAP,
    marks={
        "original": ("double_stream_modulation_img.lin.weight", "single_blocks.0.linear1.weight"),
        "diffusers": (
            "double_stream_modulation_img.linear.weight",
            "single_transformer_blocks.0.attn.to_qkv_mlp_proj.weight",
        ),
    },
    config=config,
    context="context_embedder.weight",
    detail=variant,
    not_drawn=not_drawn,
)
