"""A grid of samples of the model in training."""

from __future__ import annotations

from math import ceil, sqrt

import torch
from PIL import Image

from gpu_runner.imaging import images
from gpu_runner.networks.diffusion import vae
from gpu_runner.networks.loaded import LoadedCheckpoint

from .denoisers.denoiser import Denoiser


@torch.no_grad()
def sample_grid(
    checkpoint: LoadedCheckpoint,
    denoiser: Denoiser,
    prompt: str,
    size: tuple[int, int],
    count: int,
    seed: int,
) -> Image.Image:
    """Draw ``count`` images of (width, height) in one image. Image i has the noise of ``seed`` + i, as in the engine."""
    latents = [denoiser.draw(prompt, size, seed + index) for index in range(count)]
    tiles = [images.from_tensor(vae.decode(checkpoint, [latent])[0]) for latent in latents]
    columns = ceil(sqrt(count))
    width, height = size
    grid = Image.new("RGB", (columns * width, ceil(count / columns) * height))
    for index, tile in enumerate(tiles):
        grid.paste(tile, (index % columns * width, index // columns * height))
    return grid
