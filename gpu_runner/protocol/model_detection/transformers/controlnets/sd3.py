"""ControlNets of Stable Diffusion 3, in the names of diffusers.

Those of InstantX and Alimama have blocks of image and text; those of Stability AI for 3.5 large have blocks of the image
alone, and use the positions of the transformer.
"""

from __future__ import annotations

from dataclasses import replace
from math import isqrt

from gpu_runner.protocol.model_detection.transformers import sd3
from gpu_runner.protocol.model_detection.transformers.key_map import (
    KeyMap,
    Shapes,
    Stack,
    number_of_blocks,
    rule,
)
from gpu_runner.protocol.model_detection.transformers.transformer import width_of

from .controlnet import BARE, Config, ControlNet, outputs

INPUT = "pos_embed_input.proj.weight"
TIME = tuple(
    rule(f"time_text_embed.{embedder}.{layer}")
    for embedder in ("timestep_embedder", "text_embedder")
    for layer in ("linear_1", "linear_2")
)
(JOINT,) = sd3.KEY_MAP.stacks
# No block is the last one of a transformer, whose context is only read.
FULL = replace(JOINT, rules=tuple(replace(each, where="", swap="") for each in JOINT.rules))
ALONE = ("norm1.linear", "attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0", "ff.net.0.proj", "ff.net.2")
JOINT_MAP = KeyMap(
    top=(
        rule("pos_embed.pos_embed", endings=BARE),
        rule("pos_embed.proj"),
        rule("pos_embed_input.proj"),
        rule("context_embedder"),
        *TIME,
    ),
    stacks=(FULL, outputs("controlnet_blocks")),
)
ALONE_MAP = KeyMap(
    top=(rule("pos_embed_input.proj"), *TIME),
    stacks=(
        Stack("transformer_blocks", "transformer_blocks", tuple(rule(name) for name in ALONE)),
        outputs("controlnet_blocks"),
    ),
)


def _shared(shapes: Shapes) -> Config:
    width = width_of(shapes, INPUT, 0)
    head = shapes.get("transformer_blocks.0.attn.norm_q.weight", (sd3.HEAD,))[0]
    return {
        "patch_size": width_of(shapes, INPUT, -1),
        "num_layers": number_of_blocks(shapes, "transformer_blocks"),
        "attention_head_dim": head,
        "num_attention_heads": max(1, width // head),
        "pooled_projection_dim": width_of(shapes, "time_text_embed.text_embedder.linear_1.weight", 1),
    }


def joint_config(shapes: Shapes) -> Config:
    channels = width_of(shapes, "pos_embed.proj.weight", 1)
    more = width_of(shapes, INPUT, 1) - channels
    if more not in (0, 1):
        raise ValueError(
            f"it must read {channels} channels of its control image, or {channels + 1} with a mask (got {channels + more})"
        )
    blocks = number_of_blocks(shapes, "transformer_blocks")
    return _shared(shapes) | {
        "in_channels": channels,
        "out_channels": channels,
        "joint_attention_dim": width_of(shapes, "context_embedder.weight", 1),
        "caption_projection_dim": width_of(shapes, "context_embedder.weight", 0),
        "pos_embed_max_size": isqrt(width_of(shapes, "pos_embed.pos_embed", 1)),
        "extra_conditioning_channels": more,
        "dual_attention_layers": tuple(
            block for block in range(blocks) if f"transformer_blocks.{block}.attn2.to_q.weight" in shapes
        ),
        "qk_norm": "rms_norm" if "transformer_blocks.0.attn.norm_q.weight" in shapes else None,
    }


def alone_config(shapes: Shapes) -> Config:
    return _shared(shapes) | {
        "in_channels": width_of(shapes, INPUT, 1),
        "out_channels": width_of(shapes, INPUT, 1),
        "joint_attention_dim": None,
        "use_pos_embed": False,
        "force_zeros_for_pooled_projection": False,
    }


def detail(shapes: Shapes) -> Config:
    own = shapes.get("pos_embed.proj.weight", ())
    return {
        "residuals": number_of_blocks(shapes, "controlnet_blocks"),
        "mask": "needed" if own and width_of(shapes, INPUT, 1) > own[1] else "",
        "width": width_of(shapes, INPUT, 0),
    }


MARKS = ("controlnet_blocks.0.weight", INPUT)
SD3 = ControlNet(
    family="sd3",
    class_name="SD3ControlNetModel",
    key_map=JOINT_MAP,
    marks={"diffusers": (*MARKS, "context_embedder.weight")},
    config=joint_config,
    context="context_embedder.weight",
    detail=detail,
)
SD3_ALONE = replace(SD3, key_map=ALONE_MAP, marks={"diffusers": MARKS}, config=alone_config)
