"""Batched UNet call: conditional and unconditional rows of several images in one batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import lcm

import torch
from torch import Tensor

from gpu_runner.networks.device_values import on_device
from gpu_runner.networks.diffusion.guidance import DenoiseInput, GuidedAndUnguided
from gpu_runner.networks.loaded import LoadedCheckpoint

from .controlnet import Row, residuals, rows_of
from .reference_attention import ReferenceRow, apply_references
from .sdxl_conditioning import added_conditions


@torch.inference_mode()
def denoise(checkpoint: LoadedCheckpoint, inputs: Sequence[DenoiseInput]) -> list[Tensor | GuidedAndUnguided]:
    """Predict x0 for each input with one UNet call. All inputs must have the same latent shape."""
    predictions = _predict(checkpoint, inputs).split([denoise_input.rows for denoise_input in inputs])
    return [
        _result(denoise_input, rows.unbind(), checkpoint.prediction_type)
        for denoise_input, rows in zip(inputs, predictions, strict=True)
    ]


def _predict(checkpoint: LoadedCheckpoint, inputs: Sequence[DenoiseInput]) -> Tensor:
    unet = checkpoint.unet
    rows = [denoise_input for denoise_input in inputs for _ in range(denoise_input.rows)]
    x = torch.cat([_scaled_rows(denoise_input) for denoise_input in inputs])
    timesteps = on_device([denoise_input.timestep for denoise_input in rows], x.device)
    arguments = {
        "timestep": timesteps,
        "encoder_hidden_states": _contexts(inputs).to(checkpoint.dtype),
        **added_conditions(unet, inputs),
    }
    pairs = _reference_pairs(inputs)
    if pairs:
        x = torch.cat([x, torch.stack([_scaled_reference(rows[pair.row], pair) for pair in pairs])])
        row_indices = on_device([*range(len(rows)), *(pair.row for pair in pairs)], x.device)
        arguments = rows_of(arguments, row_indices)
    x = x.to(checkpoint.dtype).contiguous(memory_format=torch.channels_last)
    residual_arguments = residuals(_control_rows(inputs), x, arguments)
    with apply_references(unet, pairs):
        return unet(x, **arguments, **residual_arguments, return_dict=False)[0].float()[: len(rows)]


def _contexts(inputs: Sequence[DenoiseInput]) -> Tensor:
    """Contexts of (rows, tokens, width), repeated to the least common multiple of their lengths."""
    length = lcm(*(denoise_input.guidance.length for denoise_input in inputs))
    return torch.stack(
        [context for denoise_input in inputs for context in denoise_input.guidance.contexts(length)]
    )


def _enumerate_rows(inputs: Sequence[DenoiseInput]) -> Iterator[tuple[int, DenoiseInput, bool]]:
    """Yield row index, input, and whether the row is of the negative prompt."""
    row = 0
    for denoise_input in inputs:
        for place in range(denoise_input.rows):
            yield row, denoise_input, place >= len(denoise_input.guidance.positives)
            row += 1


def _control_rows(inputs: Sequence[DenoiseInput]) -> Iterator[Row]:
    for row, denoise_input, negative in _enumerate_rows(inputs):
        yield from (
            (row, control) for control in denoise_input.controls if control.unconditioned or not negative
        )


def _reference_pairs(inputs: Sequence[DenoiseInput]) -> list[ReferenceRow]:
    """Reference rows. They follow the rows of all inputs in the batch."""
    referring = [
        (row, negative, denoise_input.reference)
        for row, denoise_input, negative in _enumerate_rows(inputs)
        if denoise_input.reference is not None
    ]
    first = sum(denoise_input.rows for denoise_input in inputs)
    return [
        ReferenceRow(row, first + place, negative, reference)
        for place, (row, negative, reference) in enumerate(referring)
    ]


def _scaled_reference(denoise_input: DenoiseInput, pair: ReferenceRow) -> Tensor:
    scaled = pair.reference.at(denoise_input.sigma)
    return scaled if denoise_input.extra is None else torch.cat([scaled, denoise_input.extra])


def _scaled_rows(denoise_input: DenoiseInput) -> Tensor:
    """The UNet's input of (rows, channels, h, w)."""
    scaled = denoise_input.x / (1 + denoise_input.sigma**2) ** 0.5
    scaled = scaled if denoise_input.extra is None else torch.cat([scaled, denoise_input.extra])
    rows = scaled.expand(denoise_input.rows, -1, -1, -1)
    without_image = denoise_input.guidance.rows_without_image
    if without_image and denoise_input.extra is not None:
        rows = rows.clone()
        rows[-without_image:, -len(denoise_input.extra) :] = 0
    return rows


def _result(
    denoise_input: DenoiseInput, rows: Sequence[Tensor], prediction_type: str
) -> Tensor | GuidedAndUnguided:
    denoised = _estimate(denoise_input, denoise_input.guidance.combine(rows), prediction_type)
    if not denoise_input.guidance.returns_unguided:
        return denoised
    return GuidedAndUnguided(denoised, _estimate(denoise_input, rows[-1], prediction_type))


def _estimate(denoise_input: DenoiseInput, prediction: Tensor, prediction_type: str) -> Tensor:
    variance = 1 + denoise_input.sigma**2
    if prediction_type == "v_prediction":
        return denoise_input.x / variance - prediction * (denoise_input.sigma / variance**0.5)
    return denoise_input.x - prediction * denoise_input.sigma
