"""Blocks that FLUX.1, Chroma and FLUX.2 share, in the names of Black Forest Labs and of diffusers."""

from __future__ import annotations

from collections.abc import Mapping

from .key_map import LINEAR, SCALE, Rule, rule

QKV, ADDED_QKV = ("to_q", "to_k", "to_v"), ("add_q_proj", "add_k_proj", "add_v_proj")


def attention(endings: Mapping[str, str] = LINEAR) -> tuple[Rule, ...]:
    """Joint attention of a double block."""
    return (
        rule("img_attn.qkv", *(f"attn.{name}" for name in QKV), endings=endings),
        rule("txt_attn.qkv", *(f"attn.{name}" for name in ADDED_QKV), endings=endings),
        rule("img_attn.proj", "attn.to_out.0", endings=endings),
        rule("txt_attn.proj", "attn.to_add_out", endings=endings),
        rule("img_attn.norm.query_norm", "attn.norm_q", endings=SCALE),
        rule("img_attn.norm.key_norm", "attn.norm_k", endings=SCALE),
        rule("txt_attn.norm.query_norm", "attn.norm_added_q", endings=SCALE),
        rule("txt_attn.norm.key_norm", "attn.norm_added_k", endings=SCALE),
    )


def feed_forward(names: tuple[str, str], endings: Mapping[str, str] = LINEAR) -> tuple[Rule, ...]:
    """Feed-forward layers of a double block; ``names`` are those of the two layers in diffusers."""
    return tuple(
        rule(f"{stream}_mlp.{index}", f"{module}.{name}", endings=endings)
        for stream, module in (("img", "ff"), ("txt", "ff_context"))
        for index, name in zip((0, 2), names, strict=True)
    )


SINGLE_NORMS = (
    rule("norm.query_norm", "attn.norm_q", endings=SCALE),
    rule("norm.key_norm", "attn.norm_k", endings=SCALE),
)
SINGLE = (
    rule("linear1", *(f"attn.{name}" for name in QKV), "proj_mlp"),
    rule("linear2", "proj_out"),
    *SINGLE_NORMS,
)


def embedder(
    original: str, diffusers: str, endings: Mapping[str, str] = LINEAR, *, optional: bool = False
) -> tuple[Rule, ...]:
    """An embedder of two layers."""
    return tuple(
        rule(f"{original}.{theirs}", f"{diffusers}.{ours}", endings=endings, optional=optional)
        for theirs, ours in (("in_layer", "linear_1"), ("out_layer", "linear_2"))
    )
