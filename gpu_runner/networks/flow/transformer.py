"""Batched call of a flow-matching transformer: rows of several images, with their own times, texts and guidance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from gpu_runner.networks.conditioning import Conditioning
from gpu_runner.networks.device_values import on_device
from gpu_runner.networks.diffusion.controlnet import ControlNetInput
from gpu_runner.networks.diffusion.guidance import DenoiseInput
from gpu_runner.networks.loaded import LoadedCheckpoint

from .controlnets import READS_PROMPT_ONLY, residuals
from .packing import packed, unpacked
from .velocities import VELOCITIES, Rows


@torch.inference_mode()
def denoise(checkpoint: LoadedCheckpoint, inputs: Sequence[DenoiseInput]) -> list[Tensor]:
    """Predict x0 for each input: x - t * velocity. All inputs must have the same latent shape, and references of the same shapes."""
    rows = _rows(checkpoint, inputs)
    controls = [_controls(one, row) for one in inputs for row in range(one.rows)]
    velocities = _velocities(checkpoint, rows, controls).float().split([one.rows for one in inputs])
    guided = (_guided(checkpoint, one, rows) for one, rows in zip(inputs, velocities, strict=True))
    return [one.x - velocity * one.sigma for one, velocity in zip(inputs, guided, strict=True)]


def _guided(checkpoint: LoadedCheckpoint, one: DenoiseInput, rows: Tensor) -> Tensor:
    velocity = one.guidance.combine(rows.unbind())
    if not checkpoint.facts.keeps_norm or len(rows) == 1:
        return velocity
    tokens, of_prompt = packed(velocity[None]), packed(rows[:1])
    tokens = tokens * (of_prompt.norm(dim=-1, keepdim=True) / tokens.norm(dim=-1, keepdim=True))
    return unpacked(tokens, *velocity.shape[-2:])[0]


def _rows(checkpoint: LoadedCheckpoint, inputs: Sequence[DenoiseInput]) -> Rows:
    device = inputs[0].x.device
    per_row = [one for one in inputs for _ in range(one.rows)]
    values = [one.guidance.embedded for one in per_row]
    references = zip(*(one.references for one in per_row), strict=True)
    extras = [one.extra for one in per_row if one.extra is not None]
    return Rows(
        x=torch.stack([one.x for one in per_row]).to(checkpoint.dtype),
        times=on_device([one.sigma for one in per_row], device),
        texts=[text for one in inputs for text in one.guidance.conditionings],
        guidance=None if None in values else on_device(values, device),
        references=tuple(torch.stack(latents).to(checkpoint.dtype) for latents in references),
        channels=torch.stack(extras).to(checkpoint.dtype) if extras else None,
        prompts=_prompts(inputs) if checkpoint.family in READS_PROMPT_ONLY else (),
    )


def _prompts(inputs: Sequence[DenoiseInput]) -> list[Conditioning]:
    """Text of each row, with the first prompt for a negative one."""
    texts = []
    for one in inputs:
        own = [text for text, _weight in one.guidance.positives]
        texts += [*own, *[own[0]] * (one.rows - len(own))]
    return texts


def _controls(one: DenoiseInput, row: int) -> list[ControlNetInput]:
    """ControlNets of one of its rows, of which those of the negative prompt are last."""
    negative = row >= len(one.guidance.positives)
    return [control for control in one.controls if control.unconditioned or not negative]


def _velocities(
    checkpoint: LoadedCheckpoint, rows: Rows, controls: Sequence[Sequence[ControlNetInput]]
) -> Tensor:
    """One call for each length of the texts.

    Text and image attend to each other, so that padding would change the image, other than with cross-attention.
    """
    lengths = [len(text.context) for text in rows.texts]
    if len(set(lengths)) == 1 or not checkpoint.facts.text[0].padded:
        return _call(checkpoint, rows, controls)
    result = torch.empty_like(rows.x)
    for length in sorted(set(lengths)):
        indices = [row for row, of_row in enumerate(lengths) if of_row == length]
        places = on_device(indices, rows.x.device)
        part = Rows(
            rows.x[places],
            rows.times[places],
            [rows.texts[row] for row in indices],
            None if rows.guidance is None else rows.guidance[places],
            tuple(latents[places] for latents in rows.references),
            None if rows.channels is None else rows.channels[places],
            [rows.prompts[row] for row in indices] if rows.prompts else (),
        )
        result[places] = _call(checkpoint, part, [controls[row] for row in indices])
    return result


def _call(checkpoint: LoadedCheckpoint, rows: Rows, controls: Sequence[Sequence[ControlNetInput]]) -> Tensor:
    transformer, of_rows = checkpoint.unet, ((row, one) for row, own in enumerate(controls) for one in own)
    added = residuals(checkpoint.family, transformer, rows, of_rows)
    return VELOCITIES[checkpoint.family](transformer, replace(rows, residuals=added) if added else rows)
