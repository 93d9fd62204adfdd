"""Additional conditioning of SDXL and its refiner: pooled text embedding and size conditioning.

Podell et al. 2023, "SDXL: Improving Latent Diffusion Models", section 2.2. As in A1111, the original size
equals the image size and the crop offset is 0. The refiner takes an aesthetic score instead of the target
size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gpu_runner.networks.conditioning import Conditioning
from gpu_runner.networks.device_values import on_device
from gpu_runner.networks.diffusion.guidance import DenoiseInput

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

POSITIVE_SCORE, NEGATIVE_SCORE = 6.0, 2.5  # aesthetic scores of the refiner, as in A1111
LATENT_SCALE = 8  # image pixels per latent pixel, along one side
REFINER_TIME_IDS = 5  # count of time_ids of the refiner


def added_conditions(
    unet: UNet2DConditionModel, inputs: Sequence[DenoiseInput]
) -> dict[str, dict[str, Tensor]]:
    """Return ``added_cond_kwargs`` for the UNet call; empty for models without a pooled text embedding."""
    texts = [text for denoise_input in inputs for text in denoise_input.guidance.conditionings]
    pooled_texts = [text.pooled for text in texts if text.pooled is not None]
    if not pooled_texts:
        return {}
    pooled = torch.stack(pooled_texts)
    rows = [
        row
        for denoise_input in inputs
        for row in _time_ids(denoise_input, _time_id_count(unet, pooled.shape[-1]))
    ]
    time_ids = on_device(rows, pooled.device)
    return {"added_cond_kwargs": {"text_embeds": pooled, "time_ids": time_ids}}


def blank(text: Conditioning) -> Conditioning:
    """Return the all-zero conditioning that SDXL uses for an empty negative prompt."""
    pooled = None if text.pooled is None else torch.zeros_like(text.pooled)
    return Conditioning(torch.zeros_like(text.context), pooled)


def _time_id_count(unet: UNet2DConditionModel, pooled: int) -> int:
    """Number of time_ids of this UNet, derived from the input width of its additional embedding.

    That width is the width of the pooled embedding plus the embeddings of the time_ids.
    """
    rest = unet.config.projection_class_embeddings_input_dim - pooled
    return int(rest // unet.config.addition_time_embed_dim)


def _time_ids(denoise_input: DenoiseInput, count: int) -> Iterator[list[float]]:
    height, width = (float(side * LATENT_SCALE) for side in denoise_input.x.shape[-2:])
    positives = len(denoise_input.guidance.positives)
    for row in range(denoise_input.rows):
        end = (
            [POSITIVE_SCORE if row < positives else NEGATIVE_SCORE]
            if count == REFINER_TIME_IDS
            else [height, width]
        )
        yield [height, width, 0.0, 0.0, *end]
