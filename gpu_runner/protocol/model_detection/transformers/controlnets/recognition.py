"""Finds the ControlNet of a diffusion transformer in a file. No torch."""

from __future__ import annotations

from gpu_runner.protocol.model_detection.transformers.key_map import Shapes
from gpu_runner.protocol.model_detection.transformers.recognition import FoundTransformer, find_in

from .flux1 import FLUX1
from .qwen_image import QWEN_IMAGE
from .sd3 import SD3, SD3_ALONE
from .z_image import Z_IMAGE

# Qwen-Image and Stable Diffusion 3 precede FLUX.1, whose marks are fewer.
CONTROLNETS = (Z_IMAGE, QWEN_IMAGE, SD3, SD3_ALONE, FLUX1)


def find_transformer_controlnet(shapes: Shapes) -> FoundTransformer | None:
    """Return the ControlNet of a file, or None."""
    return find_in(CONTROLNETS, shapes)
