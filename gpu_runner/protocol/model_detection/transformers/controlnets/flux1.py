"""ControlNets of FLUX.1: of InstantX, Shakker Labs and Jasper in the names of diffusers, of XLabs in those and their own.

A union has an embedding of the kind of its control image. XLabs' networks read pixels, the others latents.
"""

from __future__ import annotations

from dataclasses import replace

from gpu_runner.protocol.model_detection.transformers.bfl_blocks import embedder
from gpu_runner.protocol.model_detection.transformers.flux1 import AXES, FLUX1_MAP, GUIDANCE, INPUTS
from gpu_runner.protocol.model_detection.transformers.key_map import (
    MATRIX,
    KeyMap,
    Shapes,
    number_of_blocks,
    rule,
)
from gpu_runner.protocol.model_detection.transformers.transformer import rotary_axes, width_of

from .controlnet import Config, ControlNet, outputs

DOUBLE, SINGLE = FLUX1_MAP.stacks
# Convolutions that encode the pixels: XLabs' number -> the name of diffusers.
HINT = {"0": "conv_in", **{str(2 * n + 2): f"blocks.{n}" for n in range(6)}, "14": "conv_out"}
MODES = "controlnet_mode_embedder.weight"
KEY_MAP = KeyMap(
    top=(
        *INPUTS,
        *embedder("time_in", "time_text_embed.timestep_embedder"),
        *embedder("vector_in", "time_text_embed.text_embedder"),
        *embedder("guidance_in", "time_text_embed.guidance_embedder", optional=True),
        rule("pos_embed_input", "controlnet_x_embedder"),
        rule("controlnet_mode_embedder", endings=MATRIX, optional=True),
        *(
            rule(f"input_hint_block.{n}", f"input_hint_block.{name}", optional=True)
            for n, name in HINT.items()
        ),
    ),
    stacks=(
        DOUBLE,
        replace(SINGLE, optional=True),
        outputs("controlnet_blocks"),
        outputs("controlnet_single_blocks", optional=True),
    ),
)


def config(shapes: Shapes) -> Config:
    width, inputs = (width_of(shapes, "x_embedder.weight", axis) for axis in (0, 1))
    control = width_of(shapes, "controlnet_x_embedder.weight", 1)
    if control != inputs:
        raise ValueError(f"it must read {inputs} values of each token of its control image (got {control})")
    head = width_of(shapes, "transformer_blocks.0.attn.norm_q.weight", 0)
    hint = shapes.get("input_hint_block.conv_out.weight", ())
    return {
        "patch_size": 2 if hint else 1,
        "in_channels": inputs,
        "num_layers": number_of_blocks(shapes, "transformer_blocks"),
        "num_single_layers": number_of_blocks(shapes, "single_transformer_blocks"),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": width_of(shapes, "context_embedder.weight", 1),
        "pooled_projection_dim": width_of(shapes, "time_text_embed.text_embedder.linear_1.weight", 1),
        "guidance_embeds": GUIDANCE in shapes,
        "axes_dims_rope": list(rotary_axes(head, AXES)),
        "num_mode": width_of(shapes, MODES, 0) if MODES in shapes else None,
        "conditioning_embedding_channels": hint[0] if hint else None,
    }


def detail(shapes: Shapes) -> Config:
    stacks = ("controlnet_blocks", "controlnet_single_blocks")
    return {
        "residuals": sum(number_of_blocks(shapes, stack) for stack in stacks),
        "modes": width_of(shapes, MODES, 0) if MODES in shapes else 0,
        "width": width_of(shapes, "x_embedder.weight", 0),
    }


FLUX1 = ControlNet(
    family="flux1",
    class_name="FluxControlNetModel",
    key_map=KEY_MAP,
    marks={
        "original": ("controlnet_blocks.0.weight", "double_blocks.0.img_mod.lin.weight"),
        "diffusers": (
            "controlnet_blocks.0.weight",
            "controlnet_x_embedder.weight",
            "context_embedder.weight",
        ),
    },
    config=config,
    context="context_embedder.weight",
    detail=detail,
)
