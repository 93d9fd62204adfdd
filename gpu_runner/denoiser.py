"""One UNet call for the asks of many pictures: their rows, conditioned or not, stand side by side in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from gpu_runner.models import LoadedCheckpoint


@dataclass(frozen=True, eq=False)
class Guidance:
    """What pulls a picture: towards the positive text, away from the negative one. Both have the same length."""

    positive: Tensor  # (tokens, width)
    negative: Tensor
    scale: float

    @property
    def conditionings(self) -> tuple[Tensor, ...]:
        """At scale 1 the negative text has no effect, so its row is not computed."""
        return (self.positive,) if self.scale == 1 else (self.positive, self.negative)

    def combine(self, rows: Sequence[Tensor]) -> Tensor:
        if len(rows) == 1:
            return rows[0]
        positive, negative = rows
        return negative + (positive - negative) * self.scale


@dataclass(frozen=True, eq=False)
class Question:
    """What would be left of ``x`` without its noise of level ``sigma``?"""

    x: Tensor  # (4, h, w) float32, in sigma space
    sigma: float
    timestep: float
    guidance: Guidance

    @property
    def rows(self) -> int:
        return len(self.guidance.conditionings)


@torch.inference_mode()
def denoise(checkpoint: LoadedCheckpoint, questions: Sequence[Question]) -> list[Tensor]:
    """The questions must agree in latent shape and in the length of their texts."""
    predictions = _predict(checkpoint, questions).split([question.rows for question in questions])
    return [
        _estimate(question, question.guidance.combine(rows.unbind()), checkpoint.prediction_type)
        for question, rows in zip(questions, predictions, strict=True)
    ]


def _predict(checkpoint: LoadedCheckpoint, questions: Sequence[Question]) -> Tensor:
    unet = checkpoint.unet
    rows = [(question, text) for question in questions for text in question.guidance.conditionings]
    x = torch.stack([question.x / (1 + question.sigma**2) ** 0.5 for question, _ in rows])
    timesteps = torch.tensor([question.timestep for question, _ in rows], device=x.device)
    texts = torch.stack([text for _, text in rows])
    x = x.to(unet.dtype).contiguous(memory_format=torch.channels_last)
    return unet(x, timesteps, encoder_hidden_states=texts.to(unet.dtype), return_dict=False)[0].float()


def _estimate(question: Question, prediction: Tensor, prediction_type: str) -> Tensor:
    variance = 1 + question.sigma**2
    if prediction_type == "v_prediction":
        return question.x / variance - prediction * (question.sigma / variance**0.5)
    return question.x - prediction * question.sigma
