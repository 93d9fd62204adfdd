"""Drawing one part of a picture and keeping the rest, in latents."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from gpu_runner.imaging import masks
from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.networks.operations import EncodeImage, Operation
from gpu_runner.samplers.noise import NoiseStream

from .init_image import Canvas

WITH_MASK = (
    9  # channels of a UNet made for inpainting: the noisy latent, the mask, the latent of what is kept
)


@dataclass(frozen=True, eq=False)
class LatentMask:
    """The original latent, which comes back after every step wherever the mask is 0."""

    original: Tensor  # (4, h, w)
    mask: Tensor  # (1, h, w); 1 is drawn anew
    noise: Tensor | None = None  # of sigma 1, under which the walk began

    def blend(self, latent: Tensor) -> Tensor:
        return latent * self.mask + self.original * (1 - self.mask)

    def blend_noisy(self, x: Tensor, sigma: float) -> Tensor:
        original = self.original if self.noise is None else self.original + self.noise * sigma
        return x * self.mask + original * (1 - self.mask)

    def began_at(self, x: Tensor, sigma: float) -> LatentMask:
        return replace(self, noise=(x - self.original) / sigma) if sigma > 0 else self


def keeping(canvas: Canvas, latent: Tensor, noise: NoiseStream) -> LatentMask:
    """With what the request wants under the mask at the start."""
    assert canvas.mask is not None
    height, width = latent.shape[-2:]
    mask = masks.to_latent_grid(canvas.mask, width, height, rounded=canvas.options.rounded).to(latent.device)
    if canvas.options.content == "noise":
        latent = latent * (1 - mask) + noise.draw() * mask
    elif canvas.options.content == "nothing":
        latent = latent * (1 - mask)
    return LatentMask(latent, mask)


def is_made_for_inpainting(model: LoadedCheckpoint) -> bool:
    return model.unet.config.in_channels == WITH_MASK


def conditioning(
    model: LoadedCheckpoint, width: int, height: int, canvas: Canvas | None
) -> Generator[Operation, Any, Tensor]:
    """(5, h, w): the mask, and the latent of the picture without what is masked. Without a mask, all of it is."""
    mask, picture = torch.ones(1, height, width), torch.zeros(3, height, width)
    if canvas is not None and canvas.mask is not None:
        mask = masks.to_latent_grid(canvas.mask, width, height, rounded=canvas.options.rounded)
        picture = canvas.pixels * (1 - mask * canvas.options.conditioning_weight)
    latent = yield EncodeImage(model, picture)
    small = torch.nn.functional.interpolate(mask[None], size=latent.shape[-2:])[0]
    return torch.cat([small.to(latent.device), latent])
