"""Input of the hires pass: the first pass's result, enlarged as a latent or as an image."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor

from gpu_runner.imaging import images
from gpu_runner.networks.loaded import LoadedCheckpoint, LoadedUpscaler
from gpu_runner.networks.operations import DecodeLatent, EncodeImage, Operation
from gpu_runner.protocol.catalogs.upscalers import LatentMode

from .tiled_upscaling import enlarge, interpolate

Size = tuple[int, int]


def enlarged_latent(latent: Tensor, mode: LatentMode, width: int, height: int, scale: int) -> Tensor:
    """Interpolate a latent (c, h, w) to cover ``width`` x ``height`` pixels, and center-crop it.

    ``scale`` is the number of image pixels per latent pixel, along one side.
    """
    across, down = width // scale, height // scale
    first = latent.shape[-1] * scale, latent.shape[-2] * scale
    wide, high = (side // scale for side in images.cover_size(first, width, height))
    large = interpolate(latent, mode, wide, high)
    left, top = (wide - across) // 2, (high - down) // 2
    return large[:, top : top + down, left : left + across]


def enlarged_image(
    first: LoadedCheckpoint,
    second: LoadedCheckpoint,
    latent: Tensor,
    upscaler: LoadedUpscaler | str,
    size: Size,
) -> Generator[Operation, Any, Tensor]:
    """Decode with the first VAE, enlarge and center-crop the image, encode with the second VAE."""
    small = images.from_tensor((yield DecodeLatent(first, latent)))
    large = yield from enlarge(upscaler, small, *images.cover_size(small.size, *size))
    return (yield EncodeImage(second, images.to_tensor(images.center_crop(large, *size))))
