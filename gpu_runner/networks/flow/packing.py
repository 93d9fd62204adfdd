"""Packing of latents into tokens of 2 x 2 latent pixels, as in the code of FLUX.1."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gpu_runner.networks.device_values import on_device


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


def positions_side_by_side(images: Sequence[Tensor]) -> Tensor:
    """Positions of the tokens of latents (…, h, w), of which the first is the image that is drawn: (tokens, 3).

    The first number is 1 for its references. Of several, each begins at the right of the others or below them, where they
    take less room, as in ComfyUI; the pipeline of FLUX.1 Kontext in diffusers has one.
    """
    device = images[0].device
    places, height, width = [positions(images[0].shape[-2] // 2, images[0].shape[-1] // 2, device)], 0, 0
    for latents in images[1:]:
        rows, columns = latents.shape[-2] // 2, latents.shape[-1] // 2
        is_right = rows + height > columns + width
        top, left = (0, width) if is_right else (height, 0)
        places.append(positions(rows, columns, device) + on_device([1.0, top, left], device))
        height, width = max(height, rows + top), max(width, columns + left)
    return torch.cat(places)
