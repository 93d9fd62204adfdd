"""Small upscaler files in the layouts of released ones, with known effects."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors.torch import save_file
from spandrel.architectures.Compact import Compact
from spandrel.architectures.ESRGAN import ESRGAN
from torch import nn

from gpu_runner.protocol import ModelFile


def pixel_doubler() -> nn.Module:
    """SRVGG with zero weights: its residual is 0, so it doubles pixels (nearest neighbor)."""
    model = Compact(num_feat=8, num_conv=3, upscale=2)
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    return model


def sharpener() -> nn.Module:
    """SRVGG with random weights: every pixel depends on its neighbors."""
    with torch.random.fork_rng():
        torch.manual_seed(4)
        return Compact(num_feat=8, num_conv=3, upscale=2)


def esrgan() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return ESRGAN(num_filters=8, num_blocks=1, scale=4)


def write(root: Path, name: str, model: nn.Module) -> ModelFile:
    path = root / "upscalers" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".pth":
        torch.save({"params_ema": model.state_dict()}, path)
    else:
        save_file({key: value.contiguous() for key, value in model.state_dict().items()}, path)
    return ModelFile(path=f"upscalers/{name}", sha256=hashlib.sha256(path.read_bytes()).hexdigest())
