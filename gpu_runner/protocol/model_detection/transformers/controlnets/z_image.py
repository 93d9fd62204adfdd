"""ControlNets of Z-Image, in the names of their authors (VideoX-Fun), which are those of diffusers.

Version 1 has six layers; those of versions 2 also read a mask and the image outside it.
"""

from __future__ import annotations

from gpu_runner.protocol.model_detection.transformers.key_map import (
    KeyMap,
    Shapes,
    Stack,
    number_of_blocks,
    rule,
)
from gpu_runner.protocol.model_detection.transformers.transformer import width_of
from gpu_runner.protocol.model_detection.transformers.z_image import MODULATED

from .controlnet import Config, ControlNet

EMBEDDER = "control_all_x_embedder.2-1.weight"
BEFORE = "control_noise_refiner.0.before_proj.weight"
LAYERS = 30  # of the transformer, over which those of a ControlNet are spread
CHANNELS, WITH_MASK = 16, 33
CONTROLLED = (*MODULATED, rule("before_proj", optional=True), rule("after_proj", optional=True))
KEY_MAP = KeyMap(
    top=(rule("control_all_x_embedder.2-1"),),
    stacks=(
        Stack("control_layers", "control_layers", CONTROLLED),
        Stack("control_noise_refiner", "control_noise_refiner", CONTROLLED, optional=True),
    ),
)


def config(shapes: Shapes) -> Config:
    width, inputs = (width_of(shapes, EMBEDDER, axis) for axis in (0, 1))
    channels, layers = inputs // 4, number_of_blocks(shapes, "control_layers")
    if channels not in (CHANNELS, WITH_MASK) or inputs % 4:
        raise ValueError(
            f"it must read {CHANNELS} channels of its control image, or {WITH_MASK} with a mask (got {inputs / 4:g})"
        )
    head = width_of(shapes, "control_layers.0.attention.norm_q.weight", 0)
    refiners = number_of_blocks(shapes, "control_noise_refiner")
    refines = "control_noise_refiner" if BEFORE in shapes else "control_layers"
    return {
        "control_layers_places": list(range(0, LAYERS, max(1, LAYERS // layers)))[:layers],
        "control_refiner_layers_places": list(range(max(refiners, 2))),
        "control_in_dim": channels,
        "add_control_noise_refiner": refines if channels == WITH_MASK else None,
        "dim": width,
        "n_refiner_layers": refiners,
        "n_heads": width // head,
        "n_kv_heads": width_of(shapes, "control_layers.0.attention.to_k.weight", 0) // head,
    }


def detail(shapes: Shapes) -> Config:
    width, inputs = (width_of(shapes, EMBEDDER, axis) for axis in (0, 1))
    return {
        "residuals": number_of_blocks(shapes, "control_layers"),
        "mask": "optional" if inputs == 4 * WITH_MASK else "",
        "width": width,
    }


Z_IMAGE = ControlNet(
    family="z_image",
    class_name="ZImageControlNetModel",
    key_map=KEY_MAP,
    marks={"diffusers": (EMBEDDER, "control_layers.0.attention_norm1.weight")},
    config=config,
    context="",
    detail=detail,
)
