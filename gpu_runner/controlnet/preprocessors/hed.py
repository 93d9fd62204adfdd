"""Preprocessors hed, hed_safe and scribble_hed: holistically-nested edge detection (Xie and Tu 2015), ControlNetHED.pth."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from gpu_runner.networks.tensor_file import TensorFile

from .arrays import Numbers, Pixels, blurred, gray_to_rgb
from .tensors import batch_of, plane_of

LEVELS = 5
SAFE_LEVELS = 2  # quantization of the safe variant, which removes faint details


class HedBlock(nn.Module):
    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1) for before, after in pairwise(widths)
        )
        self.projection = nn.Conv2d(widths[-1], 1, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        for conv in self.convs:
            x = functional.relu(conv(x))
        return x, self.projection(x)


class Hed(nn.Module):
    """HED network: edges at five resolutions, averaged. Input (1, 3, h, w) from 0 to 255, output (1, 1, h, w) from 0 to 1."""

    def __init__(self, widths: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.norm = nn.Parameter(torch.zeros(1, 3, 1, 1))
        for number, level in enumerate(widths, 1):
            self.add_module(f"block{number}", HedBlock(level))

    def forward(self, x: Tensor) -> Tensor:
        size, edges = x.shape[-2:], []
        x = x - self.norm
        for number in range(1, LEVELS + 1):
            x, edge = getattr(self, f"block{number}")(x if number == 1 else functional.max_pool2d(x, 2))
            edges.append(functional.interpolate(edge, size, mode="bilinear"))
        return torch.sigmoid(torch.stack(edges).mean(0))


def build(file: TensorFile) -> nn.Module:
    """Return the network of a file; widths are derived from the shapes."""
    network = Hed([_widths(file, f"block{number}") for number in range(1, LEVELS + 1)])
    network.load_state_dict({name: file[name] for name in network.state_dict()})
    return network


def _widths(file: TensorFile, block: str) -> list[int]:
    shapes = [shape for name, shape in sorted(file.shapes.items()) if _is_weight(name, block)]
    return [shapes[0][1], *(shape[0] for shape in shapes)]


def _is_weight(name: str, block: str) -> bool:
    return name.startswith(f"{block}.convs.") and name.endswith(".weight")


def detect(network: nn.Module, pixels: Pixels) -> Pixels:
    """Return soft edges."""
    return gray_to_rgb(_edges(network, pixels) * 255)


def detect_safe(network: nn.Module, pixels: Pixels) -> Pixels:
    """Return soft edges, quantized."""
    steps = (_edges(network, pixels) * (SAFE_LEVELS + 1)).astype(np.int32) / SAFE_LEVELS
    return gray_to_rgb(steps * 255)


def detect_scribble(network: nn.Module, pixels: Pixels) -> Pixels:
    """Return thick lines along the ridges of the edges (non-maximum suppression)."""
    soft = blurred(_edges(network, pixels) * 255, 3.0)
    lines = np.zeros_like(soft)
    for kernel in _line_kernels():
        is_ridge = cv2.dilate(soft, kernel) == soft
        lines[is_ridge] = soft[is_ridge]
    thick = blurred((lines > 127) * np.float32(255), 3.0)
    return gray_to_rgb((thick > 4) * np.uint8(255))


def _edges(network: nn.Module, pixels: Pixels) -> Numbers:
    return plane_of(network(batch_of(network, pixels, 2 ** (LEVELS - 1))), pixels)


def _line_kernels() -> list[Numbers]:
    across = np.zeros((3, 3), np.uint8)
    across[1] = 1
    diagonal = np.eye(3, dtype=np.uint8)
    return [across, across.T.copy(), diagonal, diagonal[::-1].copy()]
