"""ControlNet residuals for a batched UNet call. Each ControlNet is called once for all its rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gpu_runner.networks.device_values import on_device
from gpu_runner.networks.loaded import LoadedControlNet


@dataclass(frozen=True, eq=False)
class ControlNetInput:
    """Input of one ControlNet for one denoising step of an image."""

    model: LoadedControlNet
    hint: Tensor  # (width, h, w): output of the model's embedding
    scales: tuple[float, ...]  # one per residual, from the first down block to the middle block
    region: Tensor | None = None  # (1, h, w) in [0, 1]: mask of the area it affects
    unconditioned: bool = True  # also applied to the rows of the negative prompt
    weight: float = 1.0  # of the unit, which ``scales`` contain
    mode: int = 0  # kind of the control image, for a union


Row = tuple[int, ControlNetInput]


@torch.inference_mode()
def encode_hints(model: LoadedControlNet, images: Sequence[Tensor]) -> list[Tensor]:
    """Encode control images of (3, height, width), in [0, 1], all of the same size."""
    batch = torch.stack(list(images)).to(model.device, model.dtype)
    return list(model.embedding(batch.contiguous(memory_format=torch.channels_last)).unbind())


def residuals(rows: Iterable[Row], x: Tensor, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Compute the residual arguments of the UNet call for a batch ``x``.

    Residuals of several ControlNets are summed. Rows without a ControlNet get zeros. Empty if ``rows`` is.
    """
    totals: list[Tensor] = []
    for model, controls in _by_model(rows).items():
        outputs = _call(model, controls, x, arguments)
        totals = totals or [torch.zeros((len(x), *output.shape[1:]), **_like(output)) for output in outputs]
        _add(totals, outputs, controls)
    if not totals:
        return {}
    return {
        "down_block_additional_residuals": tuple(totals[:-1]),
        "mid_block_additional_residual": totals[-1],
    }


def _by_model(rows: Iterable[Row]) -> dict[LoadedControlNet, list[Row]]:
    found: dict[LoadedControlNet, list[Row]] = {}
    for row, control in rows:
        found.setdefault(control.model, []).append((row, control))
    return found


def _call(
    model: LoadedControlNet, controls: Sequence[Row], x: Tensor, arguments: Mapping[str, Any]
) -> list[Tensor]:
    rows = on_device([row for row, _ in controls], x.device)
    hints = torch.stack([control.hint for _, control in controls])
    # ControlNets take only the latent, not the mask and masked image of a 9-channel inpainting checkpoint.
    latents = x[rows][:, : model.net.config.in_channels]
    down, middle = model.net(
        latents.to(memory_format=torch.channels_last),
        controlnet_cond=hints.to(model.dtype),
        return_dict=False,
        **rows_of(arguments, rows),
    )
    outputs = [*down, middle]
    return (
        [output.mean((2, 3), keepdim=True).expand_as(output) for output in outputs]
        if model.pools
        else outputs
    )


def rows_of(arguments: Mapping[str, Any], rows: Tensor) -> dict[str, Any]:
    """Select rows, in this order, of all tensors in the keyword arguments of a batched call."""
    return {
        name: rows_of(value, rows) if isinstance(value, Mapping) else value[rows]
        for name, value in arguments.items()
        if value is not None
    }


def _add(totals: Sequence[Tensor], outputs: Sequence[Tensor], controls: Sequence[Row]) -> None:
    rows = on_device([row for row, _ in controls], outputs[0].device)
    scales = on_device([control.scales for _, control in controls], **_like(outputs[0]))[
        :, :, None, None, None
    ]
    regions = _regions(controls)
    for layer, (total, output) in enumerate(zip(totals, outputs, strict=True)):
        scaled = output * scales[:, layer]
        total.index_add_(0, rows, scaled if regions is None else scaled * _at_size(regions, output))


def _regions(controls: Sequence[Row]) -> Tensor | None:
    """Masks of (rows, 1, h, w); None if no input has a mask."""
    if all(control.region is None for _, control in controls):
        return None
    everywhere = next(
        torch.ones_like(control.region) for _, control in controls if control.region is not None
    )
    return torch.stack([everywhere if control.region is None else control.region for _, control in controls])


def _at_size(regions: Tensor, output: Tensor) -> Tensor:
    return functional.interpolate(regions, output.shape[-2:], mode="area").to(output.dtype)


def _like(tensor: Tensor) -> dict[str, Any]:
    return {"dtype": tensor.dtype, "device": tensor.device}
