"""What SDXL and its refiner are told beside the text's states: the whole text in one state, and the picture's size.

Podell et al. 2023, "SDXL: Improving Latent Diffusion Models", section 2.2. Sizes are told as A1111 tells them: the picture
was never another size, and nothing was cropped off. The refiner is told how beautiful it is to be instead.
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
PIXELS = 8  # a side of a latent pixel
SCORED = 5  # numbers that the refiner is told


def added_conditions(
    unet: UNet2DConditionModel, questions: Sequence[DenoiseInput]
) -> dict[str, dict[str, Tensor]]:
    """Arguments of the UNet's call; none for those that know the text's states only."""
    texts = [text for question in questions for text in question.guidance.conditionings]
    wholes = [text.pooled for text in texts if text.pooled is not None]
    if not wholes:
        return {}
    pooled = torch.stack(wholes)
    told = [row for question in questions for row in _told(question, _numbers(unet, pooled.shape[-1]))]
    numbers = torch.tensor(told, device=pooled.device)
    return {"added_cond_kwargs": {"text_embeds": pooled, "time_ids": numbers}}


def blank(text: Conditioning) -> Conditioning:
    """What an empty negative prompt is to SDXL."""
    pooled = None if text.pooled is None else torch.zeros_like(text.pooled)
    return Conditioning(torch.zeros_like(text.context), pooled)


def _numbers(unet: UNet2DConditionModel, pooled: int) -> int:
    """How many numbers this UNet expects: its input is their embeddings and the pooled text."""
    rest = unet.config.projection_class_embeddings_input_dim - pooled
    return int(rest // unet.config.addition_time_embed_dim)


def _told(question: DenoiseInput, count: int) -> Iterator[list[float]]:
    height, width = (float(side * PIXELS) for side in question.x.shape[-2:])
    positives = len(question.guidance.positives)
    for row in range(question.rows):
        end = [BEAUTIFUL if row < positives else UGLY] if count == SCORED else [height, width]
        yield [height, width, 0.0, 0.0, *end]
