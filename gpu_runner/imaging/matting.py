"""What in a picture is its subject: a matte, white where the subject is, from a network for salient objects.

The ways to feed them are rembg's: U²-Net's by the statistics of ImageNet, IS-Net's (several maps at 1024) around 0.5.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gpu_runner.networks.onnx_model import Array, OnnxModel

from .images import InvalidImage

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CENTRED = ((0.5, 0.5, 0.5), (1.0, 1.0, 1.0))
SIDE = 1024  # for graphs that take any
FAINTEST = 0.1  # a matte that nowhere rises higher above its lowest point has found nothing


def matte(model: OnnxModel, picture: Image.Image) -> Image.Image:
    """A greyscale picture of the same size. BadPicture where there is no subject."""
    side = model.detail["side"] or SIDE
    answer = _as_shares(model.run(_input(model, picture, side))[0, 0])
    low, high = float(answer.min()), float(answer.max())
    if high - low < FAINTEST:
        raise InvalidImage("the matting model found no subject in the picture")
    levels = ((answer - low) / (high - low) * 255).round().astype(np.uint8)
    return Image.fromarray(levels).resize(picture.size, Image.Resampling.LANCZOS)


def _input(model: OnnxModel, picture: Image.Image, side: int) -> Array:
    mean, deviation = CENTRED if model.detail["side"] == SIDE and model.detail["maps"] > 1 else IMAGENET
    small = picture.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
    pixels = np.asarray(small, np.float32)
    shares = pixels / max(pixels.max(), np.float32(1))
    return ((shares - np.array(mean, "f4")) / np.array(deviation, "f4")).transpose(2, 0, 1)[None]


def _as_shares(answer: NDArray[np.float32]) -> NDArray[np.float32]:
    """Some graphs end before their sigmoid."""
    if answer.min() < 0 or answer.max() > 1:
        return 1 / (1 + np.exp(-answer.clip(-50, 50)))
    return answer
