"""A grid of samples of the model in training."""

from __future__ import annotations

from math import ceil, sqrt

import torch
from PIL import Image
from torch import Tensor

from gpu_runner.imaging import images
from gpu_runner.networks.diffusion import vae
from gpu_runner.networks.loaded import LoadedCheckpoint

from .prompts import Prompts
from .unet_call import predict

STEPS = 20
GUIDANCE_SCALE = 7.0


@torch.no_grad()
def sample_grid(
    checkpoint: LoadedCheckpoint, prompts: Prompts, prompt: str, size: tuple[int, int], count: int, seed: int
) -> Image.Image:
    """Draw ``count`` images of (width, height) with DDIM (Song et al. 2020, equation 12, without noise) in one image.

    Image i has the noise of ``seed`` + i, as in the engine.
    """
    context, pooled = prompts.encode(["", prompt])
    tiles = [_draw(checkpoint, context, pooled, size, seed + index) for index in range(count)]
    columns = ceil(sqrt(count))
    width, height = size
    grid = Image.new("RGB", (columns * width, ceil(count / columns) * height))
    for index, tile in enumerate(tiles):
        grid.paste(tile, (index % columns * width, index // columns * height))
    return grid


def _draw(
    checkpoint: LoadedCheckpoint, context: Tensor, pooled: Tensor | None, size: tuple[int, int], seed: int
) -> Image.Image:
    width, height = size
    generator = torch.Generator().manual_seed(seed % 2**64)
    x = torch.randn(1, 4, height // 8, width // 8, generator=generator).to(checkpoint.device)
    assert checkpoint.alphas_cumprod is not None
    alphas = checkpoint.alphas_cumprod.float()
    times = torch.linspace(len(alphas) - 1, 0, STEPS).round().long()
    for at, following in zip(times, [*times[1:], None], strict=True):
        both = predict(
            checkpoint, x.expand(2, -1, -1, -1), at.expand(2).to(x.device), context, pooled
        ).float()
        guided = both[0] + GUIDANCE_SCALE * (both[1] - both[0])
        alpha = alphas[at]
        if checkpoint.prediction_type == "v_prediction":
            denoised = alpha.sqrt() * x - (1 - alpha).sqrt() * guided
            noise = alpha.sqrt() * guided + (1 - alpha).sqrt() * x
        else:
            noise = guided[None]
            denoised = (x - (1 - alpha).sqrt() * noise) / alpha.sqrt()
        alpha = torch.tensor(1.0) if following is None else alphas[following]
        x = alpha.sqrt() * denoised + (1 - alpha).sqrt() * noise
    return images.from_tensor(vae.decode(checkpoint, [x[0]])[0])
