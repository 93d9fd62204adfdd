"""FLUX.1 (schnell, dev, Krea, Kontext, Fill, Canny, Depth) and Chroma."""

from __future__ import annotations

from .bfl_blocks import SINGLE, attention, embedder, feed_forward
from .key_map import SCALE, KeyMap, Shapes, Stack, number_of_blocks, rule
from .transformer import Config, Transformer, rotary_axes, width_of

AXES = (16, 56, 56)
LAYERS = ("net.0.proj", "net.2")
INPUTS = (rule("img_in", "x_embedder"), rule("txt_in", "context_embedder"))
FLUX1_MAP = KeyMap(
    top=(
        *INPUTS,
        *embedder("time_in", "time_text_embed.timestep_embedder"),
        *embedder("vector_in", "time_text_embed.text_embedder"),
        *embedder("guidance_in", "time_text_embed.guidance_embedder", optional=True),
        rule("final_layer.linear", "proj_out"),
        rule("final_layer.adaLN_modulation.1", "norm_out.linear", swap="always"),
    ),
    stacks=(
        Stack(
            "double_blocks",
            "transformer_blocks",
            (
                rule("img_mod.lin", "norm1.linear"),
                rule("txt_mod.lin", "norm1_context.linear"),
                *attention(),
                *feed_forward(LAYERS),
            ),
        ),
        Stack(
            "single_blocks",
            "single_transformer_blocks",
            (rule("modulation.lin", "norm.linear"), *SINGLE),
        ),
    ),
)
# Chroma predicts all modulations with one network, the approximator.
APPROXIMATOR = "distilled_guidance_layer"
CHROMA_MAP = KeyMap(
    top=(
        *INPUTS,
        rule(f"{APPROXIMATOR}.in_proj"),
        rule(f"{APPROXIMATOR}.out_proj"),
        rule("final_layer.linear", "proj_out"),
    ),
    stacks=(
        Stack(
            f"{APPROXIMATOR}.layers",
            f"{APPROXIMATOR}.layers",
            (rule("in_layer", "linear_1"), rule("out_layer", "linear_2")),
        ),
        Stack(f"{APPROXIMATOR}.norms", f"{APPROXIMATOR}.norms", (rule("", endings=SCALE),)),
        Stack("double_blocks", "transformer_blocks", (*attention(), *feed_forward(LAYERS))),
        Stack("single_blocks", "single_transformer_blocks", SINGLE),
    ),
)


def _blocks(shapes: Shapes) -> Config:
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
        "axes_dims_rope": rotary_axes(head, AXES),
    }


def flux1_config(shapes: Shapes) -> Config:
    return _blocks(shapes) | {
        "pooled_projection_dim": width_of(shapes, "time_text_embed.text_embedder.linear_1.weight", 1),
        "guidance_embeds": GUIDANCE in shapes,
    }


def chroma_config(shapes: Shapes) -> Config:
    return _blocks(shapes) | {
        "approximator_num_channels": width_of(shapes, f"{APPROXIMATOR}.in_proj.weight", 1),
        "approximator_hidden_dim": width_of(shapes, f"{APPROXIMATOR}.in_proj.weight", 0),
        "approximator_layers": number_of_blocks(shapes, f"{APPROXIMATOR}.layers"),
    }


GUIDANCE = "time_text_embed.guidance_embedder.linear_1.weight"
# Inputs besides the packed latent: the masked image and its mask of 16 x 16 values per token, or a control image.
VARIANTS = {320: "fill", 64: "control"}


def variant(shapes: Shapes) -> Config:
    """The variant, as far as shapes tell: dev, Krea and Kontext have the same."""
    extra = width_of(shapes, "x_embedder.weight", 1) - width_of(shapes, "proj_out.weight", 0)
    plain = "dev" if GUIDANCE in shapes else "schnell"
    named = VARIANTS.get(extra, f"{extra} more inputs") if extra else plain
    return {"variant": named, "inpainting": named == "fill"}


def not_drawn(shapes: Shapes) -> str:
    """Variants with more inputs than the known ones. ``shapes``: in the names of the file."""
    first = shapes.get("img_in.weight", shapes.get("x_embedder.weight", ()))
    last = shapes.get("final_layer.linear.weight", shapes.get("proj_out.weight", ()))
    if len(first) != 2 or not last or first[1] == last[0] or first[1] - last[0] in VARIANTS:
        return ""
    return f"it is a FLUX.1 model with {first[1] - last[0]} more inputs, which is not supported"


SINGLE_MARK = "single_transformer_blocks.0.proj_mlp.weight"
FLUX1 = Transformer(
    family="flux1",
    class_name="FluxTransformer2DModel",
    key_map=FLUX1_MAP,
    marks={
        "original": (
            "double_blocks.0.img_mod.lin.weight",
            "single_blocks.0.linear1.weight",
            "vector_in.in_layer.weight",
        ),
        "diffusers": (SINGLE_MARK, "transformer_blocks.0.norm1.linear.weight", "x_embedder.weight"),
    },
    config=flux1_config,
    context="context_embedder.weight",
    detail=variant,
    not_drawn=not_drawn,
)
CHROMA = Transformer(
    family="chroma",
    class_name="ChromaTransformer2DModel",
    key_map=CHROMA_MAP,
    marks={
        "original": (
            f"{APPROXIMATOR}.in_proj.weight",
            "double_blocks.0.img_attn.qkv.weight",
            "img_in.weight",
        ),
        "diffusers": (f"{APPROXIMATOR}.in_proj.weight", SINGLE_MARK),
    },
    config=chroma_config,
    context="context_embedder.weight",
)
