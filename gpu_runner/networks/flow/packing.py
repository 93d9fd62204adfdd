"""Packing of latents into tokens of 2 x 2 latent pixels, as in the code of FLUX.1."""

from __future__ import annotations

import torch
from torch import Tensor


def packed(latents: Tensor) -> Tensor:
    """(rows, channels, h, w) to (rows, h / 2 * w / 2, channels * 4)."""
    rows, channels, height, width = latents.shape
    patches = latents.reshape(rows, channels, height // 2, 2, width // 2, 2)
    return patches.permute(0, 2, 4, 1, 3, 5).reshape(rows, height * width // 4, channels * 4)


def unpacked(tokens: Tensor, height: int, width: int) -> Tensor:
    """Inverse of ``packed`` for latents of this height and width."""
    patches = tokens.reshape(len(tokens), height // 2, width // 2, -1, 2, 2)
    return patches.permute(0, 3, 1, 4, 2, 5).reshape(len(tokens), -1, height, width)


def positions(rows: int, columns: int, device: torch.device) -> Tensor:
    """Positions of image tokens: (rows * columns, 3), of which the first number is 0."""
    places = torch.cartesian_prod(torch.arange(rows, device=device), torch.arange(columns, device=device))
    return torch.nn.functional.pad(places, (1, 0)).float()
