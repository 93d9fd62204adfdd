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
from gpu_runner.networks.diffusion.guidance import DenoiseInput

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

BEAUTIFUL, UGLY = 6.0, 2.5
PIXELS = 8  # image pixels per latent pixel, along one side
SCORED = 5  # count of time_ids of the refiner


def added_conditions(
    unet: UNet2DConditionModel, questions: Sequence[DenoiseInput]
) -> dict[str, dict[str, Tensor]]:
    """Return ``added_cond_kwargs`` for the UNet call; empty for models without a pooled text embedding."""
    texts = [text for question in questions for text in question.guidance.conditionings]
    wholes = [text.pooled for text in texts if text.pooled is not None]
    if not wholes:
        return {}
    pooled = torch.stack(wholes)
    told = [row for question in questions for row in _told(question, _numbers(unet, pooled.shape[-1]))]
    numbers = torch.tensor(told, device=pooled.device)
    return {"added_cond_kwargs": {"text_embeds": pooled, "time_ids": numbers}}


def blank(text: Conditioning) -> Conditioning:
    """Return the all-zero conditioning that SDXL uses for an empty negative prompt."""
    pooled = None if text.pooled is None else torch.zeros_like(text.pooled)
    return Conditioning(torch.zeros_like(text.context), pooled)


def _numbers(unet: UNet2DConditionModel, pooled: int) -> int:
    """Number of time_ids of this UNet, derived from the input width of its additional embedding.

    That width is the width of the pooled embedding plus the embeddings of the time_ids.
    """
    rest = unet.config.projection_class_embeddings_input_dim - pooled
    return int(rest // unet.config.addition_time_embed_dim)


def _told(question: DenoiseInput, count: int) -> Iterator[list[float]]:
    height, width = (float(side * PIXELS) for side in question.x.shape[-2:])
    positives = len(question.guidance.positives)
    for row in range(question.rows):
        end = [BEAUTIFUL if row < positives else UGLY] if count == SCORED else [height, width]
        yield [height, width, 0.0, 0.0, *end]
