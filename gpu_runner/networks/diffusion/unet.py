"""One UNet call for the asks of many pictures: their rows, conditioned or not, stand side by side in one batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import lcm

import torch
from torch import Tensor

from gpu_runner.networks.diffusion.guidance import DenoiseInput, GuidedAndUnguided
from gpu_runner.networks.loaded import LoadedCheckpoint

from .controlnet import Row, residuals, rows_of
from .reference_attention import ReferenceRow, shared
from .sdxl_conditioning import added_conditions


@torch.inference_mode()
def denoise(
    checkpoint: LoadedCheckpoint, questions: Sequence[DenoiseInput]
) -> list[Tensor | GuidedAndUnguided]:
    """The questions must agree in latent shape."""
    predictions = _predict(checkpoint, questions).split([question.rows for question in questions])
    return [
        _answer(question, rows.unbind(), checkpoint.prediction_type)
        for question, rows in zip(questions, predictions, strict=True)
    ]


def _predict(checkpoint: LoadedCheckpoint, questions: Sequence[DenoiseInput]) -> Tensor:
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


def _contexts(questions: Sequence[DenoiseInput]) -> Tensor:
    """(rows, tokens, width). Shorter prompts are repeated to the least common multiple of the lengths."""
    length = lcm(*(question.guidance.length for question in questions))
    return torch.stack([context for question in questions for context in question.guidance.contexts(length)])


def _numbered(questions: Sequence[DenoiseInput]) -> Iterator[tuple[int, DenoiseInput, bool]]:
    """Each row of a call, whose it is, and whether it is of the negative text."""
    row = 0
    for question in questions:
        for place in range(question.rows):
            yield row, question, place >= len(question.guidance.positives)
            row += 1


def _pushed(questions: Sequence[DenoiseInput]) -> Iterator[Row]:
    for row, question, negative in _numbered(questions):
        yield from ((row, push) for push in question.pushes if push.unconditioned or not negative)


def _guests(questions: Sequence[DenoiseInput]) -> list[ReferenceRow]:
    """Their rows come behind those of all questions."""
    looking = [
        (row, negative, question.reference)
        for row, question, negative in _numbered(questions)
        if question.reference is not None
    ]
    first = sum(question.rows for question in questions)
    return [
        ReferenceRow(row, first + place, negative, reference)
        for place, (row, negative, reference) in enumerate(looking)
    ]


def _seen_guest(host: DenoiseInput, guest: ReferenceRow) -> Tensor:
    scaled = guest.reference.at(host.sigma)
    return scaled if host.extra is None else torch.cat([scaled, host.extra])


def _seen(question: DenoiseInput) -> Tensor:
    scaled = question.x / (1 + question.sigma**2) ** 0.5
    return scaled if question.extra is None else torch.cat([scaled, question.extra])


def _answer(
    question: DenoiseInput, rows: Sequence[Tensor], prediction_type: str
) -> Tensor | GuidedAndUnguided:
    denoised = _estimate(question, question.guidance.combine(rows), prediction_type)
    if not question.guidance.apart:
        return denoised
    return GuidedAndUnguided(denoised, _estimate(question, rows[-1], prediction_type))


def _estimate(question: DenoiseInput, prediction: Tensor, prediction_type: str) -> Tensor:
    variance = 1 + question.sigma**2
    if prediction_type == "v_prediction":
        return question.x / variance - prediction * (question.sigma / variance**0.5)
    return question.x - prediction * question.sigma
