"""A photograph with a face, and face restorers with a known effect: they return one color for any input."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from gpu_runner.imaging.face_detection import FaceDetector
from gpu_runner.models.loaders.spandrel import spandrel
from gpu_runner.networks.loaded import LoadedFaceRestorer
from gpu_runner.protocol import ModelFile

from .demo_engine import DEMO_MODELS

GFPGAN = spandrel.architectures.GFPGAN.GFPGAN
YUNET = "face_detection/yunet_n_640_640.onnx"
EYES = ((141.0, 104.0), (184.0, 104.0))
FACE = (117, 60, 208, 178)  # left, top, right, bottom
LAST_BIAS = "stylegan_decoder.to_rgbs.6.bias"  # determines the output if all weights are 0
GREEN = (-1.0, 1.0, -1.0)


def photograph() -> Image.Image:
    with Image.open(Path(__file__).parent / "photographs" / "astronaut.jpg") as image:
        return image.convert("RGB")


def two_of_her() -> Image.Image:
    """The photograph twice, side by side."""
    both = Image.new("RGB", (640, 320))
    both.paste(photograph())
    both.paste(photograph(), (320, 0))
    return both


def yunet() -> FaceDetector:
    return FaceDetector(DEMO_MODELS / YUNET, 640, 640)


def painter(color: tuple[float, float, float] = GREEN, key: str = "painter") -> LoadedFaceRestorer:
    """GFPGAN with few channels, for speed. Returns an image of one color (RGB from -1 to 1)."""
    model = GFPGAN(narrow=1 / 32, num_style_feat=16)
    for tensor in model.state_dict().values():
        tensor.zero_()
    model.state_dict()[LAST_BIAS].copy_(torch.tensor(color).view(1, 3, 1, 1))
    return LoadedFaceRestorer(key, model.eval().requires_grad_(False), 1)


def dreamer() -> LoadedFaceRestorer:
    """GFPGAN with random weights: the output depends on the face and on the noise inputs of the network."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = GFPGAN(narrow=1 / 32, num_style_feat=16)
        for parameter in model.parameters():
            if parameter.shape == (1,):  # weight of the noise
                parameter.data.fill_(0.3)
        for noise in model.stylegan_decoder.noises.buffers():
            noise.normal_()
    return LoadedFaceRestorer("dreamer", model.eval().requires_grad_(False), 1)


def write_painter(root: Path, name: str, color: tuple[float, float, float] = GREEN) -> ModelFile:
    """Write a file in the full layout of GFPGAN 1.3 and 1.4. Its 87 million zeros share storage, so the file is small."""
    with torch.device("meta"):
        shapes = {key: tensor.shape for key, tensor in GFPGAN().state_dict().items()}
    tensors = {key: torch.zeros(1).expand(shape) for key, shape in shapes.items()}
    tensors[LAST_BIAS] = torch.tensor(color).view(1, 3, 1, 1)
    path = root / "face_restoration" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"params_ema": tensors}, path)
    return ModelFile(path=f"face_restoration/{name}", sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def changed(before: Image.Image, after: Image.Image) -> np.ndarray:
    """Mask (height, width) of the pixels that differ."""
    return (np.asarray(before) != np.asarray(after)).any(axis=2)
