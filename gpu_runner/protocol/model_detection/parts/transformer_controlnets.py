"""ControlNets of diffusion transformers: the family, from the tensors. No torch."""

from __future__ import annotations

from collections.abc import Mapping

from gpu_runner.protocol.model_detection.storage.tensor_header import Shape

# Tensors that a ControlNet of the family has together, in the first names that match. ControlNets of FLUX.1 exist in the
# names of XLabs and of diffusers.
MARKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("z_image", ("control_all_x_embedder.2-1.weight", "control_layers.0.attention_norm1.weight")),
    ("qwen_image", ("controlnet_blocks.0.weight", "transformer_blocks.0.img_mod.1.weight")),
    ("sd3", ("controlnet_blocks.0.weight", "pos_embed_input.proj.weight")),
    ("flux1", ("controlnet_blocks.0.weight", "double_blocks.0.img_mod.lin.weight")),
    ("flux1", ("controlnet_blocks.0.weight", "controlnet_x_embedder.weight")),
)


def find_transformer_controlnet(shapes: Mapping[str, Shape]) -> str:
    """Family of a ControlNet; empty if the file is none."""
    found = (family for family, marks in MARKS if all(mark in shapes for mark in marks))
    return next(found, "")
