"""Background removal (matting) with the ONNX models of rembg: U²-Net, IS-Net and similar salient object networks.

Inputs are normalized as in rembg: by ImageNet's mean and deviation, and for IS-Net (several outputs at 1024) around 0.5.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gpu_runner.networks.onnx_model import Array, OnnxModel

from .images import InvalidImage

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CENTERED = ((0.5, 0.5, 0.5), (1.0, 1.0, 1.0))
SIDE = 1024  # input size of models with dynamic size
MIN_CONTRAST = 0.1  # between the matte's highest and lowest value; below it there is no subject


def matte(model: OnnxModel, image: Image.Image) -> Image.Image:
    """Return the matte (mode L, same size): white for the subject. Raises InvalidImage if there is no subject."""
    side = model.detail["side"] or SIDE
    output = _probabilities(model.run(_input(model, image, side))[0, 0])
    low, high = float(output.min()), float(output.max())
    if high - low < MIN_CONTRAST:
        raise InvalidImage("the matting model found no subject in the image")
    levels = ((output - low) / (high - low) * 255).round().astype(np.uint8)
    return Image.fromarray(levels).resize(image.size, Image.Resampling.LANCZOS)


def transparent(image: Image.Image, mask: Image.Image) -> Image.Image:
    """Return the image as RGBA with the mask as alpha channel."""
    subject = image.convert("RGBA")
    subject.putalpha(mask)
    return subject


def cut_out_subject(model: OnnxModel, image: Image.Image) -> Image.Image:
    """Return the image as RGBA, transparent behind its subject. Raises InvalidImage if there is no subject."""
    return transparent(image, matte(model, image))


def _input(model: OnnxModel, image: Image.Image, side: int) -> Array:
    mean, deviation = CENTERED if model.detail["side"] == SIDE and model.detail["maps"] > 1 else IMAGENET
    small = image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
    pixels = np.asarray(small, np.float32)
    shares = pixels / max(pixels.max(), np.float32(1))
    return ((shares - np.array(mean, "f4")) / np.array(deviation, "f4")).transpose(2, 0, 1)[None]


def _probabilities(output: NDArray[np.float32]) -> NDArray[np.float32]:
    """Apply a sigmoid to the outputs of models that end without one."""
    if output.min() < 0 or output.max() > 1:
        return 1 / (1 + np.exp(-output.clip(-50, 50)))
    return output
