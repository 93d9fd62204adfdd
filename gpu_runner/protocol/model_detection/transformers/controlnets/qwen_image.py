"""ControlNets of Qwen-Image, in the names of diffusers. One for inpainting also reads a mask."""

from __future__ import annotations

from gpu_runner.protocol.model_detection.transformers import qwen_image
from gpu_runner.protocol.model_detection.transformers.key_map import (
    MATRIX,
    KeyMap,
    Shapes,
    number_of_blocks,
    rule,
)
from gpu_runner.protocol.model_detection.transformers.transformer import rotary_axes, width_of

from .controlnet import Config, ControlNet, outputs

MASK = 4  # more inputs of each token of the control image: a latent pixel of the mask for each of 2 x 2
KEY_MAP = KeyMap(
    top=(
        rule("img_in"),
        rule("txt_in"),
        rule("txt_norm", endings=MATRIX),
        rule("time_text_embed.timestep_embedder.linear_1"),
        rule("time_text_embed.timestep_embedder.linear_2"),
        rule("controlnet_x_embedder"),
    ),
    stacks=(*qwen_image.KEY_MAP.stacks, outputs("controlnet_blocks")),
)


def config(shapes: Shapes) -> Config:
    width, inputs = (width_of(shapes, "img_in.weight", axis) for axis in (0, 1))
    more = width_of(shapes, "controlnet_x_embedder.weight", 1) - inputs
    if more not in (0, MASK):
        raise ValueError(
            f"it must read {inputs} values of each token of its control image, or {inputs + MASK} with a mask "
            f"(got {inputs + more})"
        )
    head = width_of(shapes, "transformer_blocks.0.attn.norm_q.weight", 0)
    return {
        "in_channels": inputs,
        "num_layers": number_of_blocks(shapes, "transformer_blocks"),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": width_of(shapes, "txt_in.weight", 1),
        "axes_dims_rope": rotary_axes(head, (16, 56, 56)),
        "extra_condition_channels": more,
    }


def detail(shapes: Shapes) -> Config:
    width, inputs = (width_of(shapes, "img_in.weight", axis) for axis in (0, 1))
    return {
        "residuals": number_of_blocks(shapes, "controlnet_blocks"),
        "mask": "needed" if width_of(shapes, "controlnet_x_embedder.weight", 1) > inputs else "",
        "width": width,
    }


QWEN_IMAGE = ControlNet(
    family="qwen_image",
    class_name="QwenImageControlNetModel",
    key_map=KEY_MAP,
    marks={"diffusers": ("controlnet_blocks.0.weight", "transformer_blocks.0.img_mod.1.weight")},
    config=config,
    context="txt_in.weight",
    detail=detail,
)
