"""Inpainting in latent space: latent mask, and input channels of inpainting checkpoints."""

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

INPAINTING_CHANNELS = 9  # input channels of an inpainting UNet: latent 4, mask 1, masked image latent 4


@dataclass(frozen=True, eq=False)
class LatentMask:
    """The original latent, restored after every step where the mask is 0."""

    original: Tensor  # (4, h, w)
    mask: Tensor  # (1, h, w); 1 is inpainted
    noise: Tensor | None = None  # (4, h, w); initial noise of the pass divided by its sigma

    def blend(self, latent: Tensor) -> Tensor:
        return latent * self.mask + self.original * (1 - self.mask)

    def blend_noisy(self, x: Tensor, sigma: float) -> Tensor:
        original = self.original if self.noise is None else self.original + self.noise * sigma
        return x * self.mask + original * (1 - self.mask)

    def with_noise_of(self, x: Tensor, sigma: float) -> LatentMask:
        return replace(self, noise=(x - self.original) / sigma) if sigma > 0 else self


def latent_mask(canvas: Canvas, latent: Tensor, noise: NoiseStream) -> LatentMask:
    """Build the latent mask, with the masked area initialized as ``content`` requires (noise, nothing)."""
    assert canvas.mask is not None
    height, width = latent.shape[-2:]
    mask = masks.to_latent_grid(canvas.mask, width, height, rounded=canvas.options.rounded).to(latent.device)
    if canvas.options.content == "noise":
        latent = latent * (1 - mask) + noise.draw() * mask
    elif canvas.options.content == "nothing":
        latent = latent * (1 - mask)
    return LatentMask(latent, mask)


def is_inpainting_model(model: LoadedCheckpoint) -> bool:
    return model.facts.flow is None and bool(model.unet.config.in_channels == INPAINTING_CHANNELS)


def conditioning(
    model: LoadedCheckpoint, width: int, height: int, canvas: Canvas | None
) -> Generator[Operation, Any, Tensor]:
    """Return the additional UNet input (5, h, w): the mask and the latent of the masked image.

    Without a canvas mask, everything is masked.
    """
    mask, masked_image = _mask_and_masked_image(width, height, canvas)
    latent = yield EncodeImage(model, masked_image)
    small = torch.nn.functional.interpolate(mask[None], size=latent.shape[-2:])[0]
    return torch.cat([small.to(latent.device), latent])


def fill_channels(
    model: LoadedCheckpoint, width: int, height: int, canvas: Canvas | None
) -> Generator[Operation, Any, Tensor]:
    """What FLUX.1 Fill reads beside the latent, (80, h, w): the latent of the masked image, and the mask in full size.

    The pixels of the mask that belong to a latent pixel are channels, row by row.
    """
    mask, masked_image = _mask_and_masked_image(width, height, canvas)
    latent = yield EncodeImage(model, masked_image)
    pixels = torch.nn.functional.pixel_unshuffle(mask, model.facts.latents.scale)
    return torch.cat([latent, pixels.to(latent.device)])


def _mask_and_masked_image(width: int, height: int, canvas: Canvas | None) -> tuple[Tensor, Tensor]:
    if canvas is None or canvas.mask is None:
        return torch.ones(1, height, width), torch.zeros(3, height, width)
    mask = masks.to_latent_grid(canvas.mask, width, height, rounded=canvas.options.rounded)
    return mask, canvas.pixels * (1 - mask * canvas.options.conditioning_weight)
