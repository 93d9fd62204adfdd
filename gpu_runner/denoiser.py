"""One UNet call for the asks of many pictures: their rows, conditioned or not, stand side by side in one batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import lcm
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from gpu_runner.conditioning import Conditioning, common_length, pad_to_same_length, repeated
from gpu_runner.controlnet import Push, Row, residuals, rows_of
from gpu_runner.reference import Guest, Reference, shared
from gpu_runner.sdxl import added_conditions

if TYPE_CHECKING:
    from gpu_runner.models import LoadedCheckpoint

CONTROL_WORK = 0.4  # a ControlNet is the UNet's inward half


@dataclass(frozen=True, eq=False)
class Guidance:
    """What pulls a picture: towards some texts, each with its weight, away from the negative one."""

    positives: tuple[tuple[Conditioning, float], ...]
    negative: Conditioning
    scale: float
    apart: bool = False  # answer with an Apart

    @cached_property
    def pulls(self) -> tuple[float, ...]:
        """How strongly each text acts, the negative one last. Together they are 1.

        Liu et al. 2022, Compositional Visual Generation with Composable Diffusion Models, equation 11.
        """
        positives = tuple(self.scale * weight for _text, weight in self.positives)
        return (*positives, 1 - sum(positives))

    @cached_property
    def conditionings(self) -> tuple[Conditioning, ...]:
        """The texts that are rows of a call. A negative one without effect is none."""
        positives = tuple(text for text, _weight in self.positives)
        return positives if self.pulls[-1] == 0 and not self.apart else (*positives, self.negative)

    def unopposed(self) -> Guidance:
        """For a step without the negative text: the first text stands in its place, as in A1111."""
        return replace(self, negative=self.positives[0][0], scale=1.0)

    def apart_at(self, scale: float) -> Guidance:
        return replace(self, scale=scale, apart=True)

    @cached_property
    def length(self) -> int:
        """Tokens of each row, when they are padded to each other."""
        return common_length([len(text.context) for text in self.conditionings])

    def contexts(self, length: int) -> list[Tensor]:
        """One a row, all as long as that; a multiple of this guidance's own length."""
        return [repeated(context, length // self.length) for context in self._own_contexts]

    @cached_property
    def _own_contexts(self) -> list[Tensor]:
        return pad_to_same_length([text.context for text in self.conditionings])

    def combine(self, rows: Sequence[Tensor]) -> Tensor:
        """Because the pulls are 1 together, each of the others can be told as a way from the last row."""
        origin = rows[-1]
        return sum(((row - origin) * pull for row, pull in zip(rows[:-1], self.pulls, strict=False)), origin)


class Apart(NamedTuple):
    """The estimate, and beside it the one of the negative text alone."""

    denoised: Tensor
    unguided: Tensor


@dataclass(frozen=True, eq=False)
class Question:
    """What would be left of ``x`` without its noise of level ``sigma``?"""

    x: Tensor  # (4, h, w) float32, in sigma space
    sigma: float
    timestep: float
    guidance: Guidance
    extra: Tensor | None = None  # (5, h, w) for checkpoints made for inpainting, beside x
    pushes: tuple[Push, ...] = ()
    reference: Reference | None = None

    @property
    def rows(self) -> int:
        return len(self.guidance.conditionings)

    @property
    def seats(self) -> int:
        """Rows that it takes in a call: its own, and those of what it looks at."""
        return self.rows * (1 if self.reference is None else 2)

    @property
    def work(self) -> float:
        """In rows of the UNet."""
        return self.seats + self.rows * CONTROL_WORK * len(self.pushes)


@torch.inference_mode()
def denoise(checkpoint: LoadedCheckpoint, questions: Sequence[Question]) -> list[Tensor | Apart]:
    """The questions must agree in latent shape."""
    predictions = _predict(checkpoint, questions).split([question.rows for question in questions])
    return [
        _answer(question, rows.unbind(), checkpoint.prediction_type)
        for question, rows in zip(questions, predictions, strict=True)
    ]


def _predict(checkpoint: LoadedCheckpoint, questions: Sequence[Question]) -> Tensor:
    unet = checkpoint.unet
    rows = [question for question in questions for _ in range(question.rows)]
    x = torch.cat([_seen(question).expand(question.rows, -1, -1, -1) for question in questions])
    timesteps = torch.tensor([question.timestep for question in rows], device=x.device)
    told = {
        "timestep": timesteps,
        "encoder_hidden_states": _contexts(questions).to(checkpoint.dtype),
        **added_conditions(unet, questions),
    }
    guests = _guests(questions)
    if guests:
        x = torch.cat([x, torch.stack([_seen_guest(rows[guest.row], guest) for guest in guests])])
        everyone = torch.tensor([*range(len(rows)), *(guest.row for guest in guests)], device=x.device)
        told = rows_of(told, everyone)
    x = x.to(checkpoint.dtype).contiguous(memory_format=torch.channels_last)
    pushes = residuals(_pushed(questions), x, told)
    with shared(unet, guests):
        return unet(x, **told, **pushes, return_dict=False)[0].float()[: len(rows)]


def _contexts(questions: Sequence[Question]) -> Tensor:
    """(rows, tokens, width). Shorter prompts are repeated to the least common multiple of the lengths."""
    length = lcm(*(question.guidance.length for question in questions))
    return torch.stack([context for question in questions for context in question.guidance.contexts(length)])


def _numbered(questions: Sequence[Question]) -> Iterator[tuple[int, Question, bool]]:
    """Each row of a call, whose it is, and whether it is of the negative text."""
    row = 0
    for question in questions:
        for place in range(question.rows):
            yield row, question, place >= len(question.guidance.positives)
            row += 1


def _pushed(questions: Sequence[Question]) -> Iterator[Row]:
    for row, question, negative in _numbered(questions):
        yield from ((row, push) for push in question.pushes if push.unconditioned or not negative)


def _guests(questions: Sequence[Question]) -> list[Guest]:
    """Their rows come behind those of all questions."""
    looking = [
        (row, negative, question.reference)
        for row, question, negative in _numbered(questions)
        if question.reference is not None
    ]
    first = sum(question.rows for question in questions)
    return [
        Guest(row, first + place, negative, reference)
        for place, (row, negative, reference) in enumerate(looking)
    ]


def _seen_guest(host: Question, guest: Guest) -> Tensor:
    scaled = guest.reference.at(host.sigma)
    return scaled if host.extra is None else torch.cat([scaled, host.extra])


def _seen(question: Question) -> Tensor:
    scaled = question.x / (1 + question.sigma**2) ** 0.5
    return scaled if question.extra is None else torch.cat([scaled, question.extra])


def _answer(question: Question, rows: Sequence[Tensor], prediction_type: str) -> Tensor | Apart:
    denoised = _estimate(question, question.guidance.combine(rows), prediction_type)
    if not question.guidance.apart:
        return denoised
    return Apart(denoised, _estimate(question, rows[-1], prediction_type))


def _estimate(question: Question, prediction: Tensor, prediction_type: str) -> Tensor:
    variance = 1 + question.sigma**2
    if prediction_type == "v_prediction":
        return question.x / variance - prediction * (question.sigma / variance**0.5)
    return question.x - prediction * question.sigma
