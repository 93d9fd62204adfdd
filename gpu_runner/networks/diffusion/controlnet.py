"""What ControlNets add to a UNet call. Each is called once, for all the rows that it pushes, whoever's they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gpu_runner.networks.loaded import LoadedControlNet


@dataclass(frozen=True, eq=False)
class ControlNetInput:
    """One ControlNet's say in one estimate."""

    model: LoadedControlNet
    hint: Tensor  # (width, h, w): read by the model's embedding
    scales: tuple[float, ...]  # of the residuals, from the first to the middle
    region: Tensor | None = None  # (1, h, w), from 0 to 1: where it acts
    unconditioned: bool = True  # does it push the rows of the negative text too?


Row = tuple[int, ControlNetInput]


@torch.inference_mode()
def read_hints(model: LoadedControlNet, pictures: Sequence[Tensor]) -> list[Tensor]:
    """The pictures must be of one size."""
    batch = torch.stack(list(pictures)).to(model.device, model.dtype)
    return list(model.embedding(batch.contiguous(memory_format=torch.channels_last)).unbind())


def residuals(rows: Iterable[Row], x: Tensor, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The UNet's arguments for these pushes of the rows of ``x``. A row that nothing pushes is added zeros."""
    totals: list[Tensor] = []
    for model, pushed in _by_model(rows).items():
        outputs = _call(model, pushed, x, arguments)
        totals = totals or [torch.zeros((len(x), *output.shape[1:]), **_like(output)) for output in outputs]
        _add(totals, outputs, pushed)
    if not totals:
        return {}
    return {
        "down_block_additional_residuals": tuple(totals[:-1]),
        "mid_block_additional_residual": totals[-1],
    }


def _by_model(rows: Iterable[Row]) -> dict[LoadedControlNet, list[Row]]:
    found: dict[LoadedControlNet, list[Row]] = {}
    for row, push in rows:
        found.setdefault(push.model, []).append((row, push))
    return found


def _call(
    model: LoadedControlNet, pushed: Sequence[Row], x: Tensor, arguments: Mapping[str, Any]
) -> list[Tensor]:
    rows = torch.tensor([row for row, _ in pushed], device=x.device)
    hints = torch.stack([push.hint for _, push in pushed])
    # A 9-channel inpainting checkpoint brings a mask and a picture along, which ControlNets do not know.
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
    """A call's arguments for some of its rows, in that order."""
    return {
        name: rows_of(value, rows) if isinstance(value, Mapping) else value[rows]
        for name, value in arguments.items()
        if value is not None
    }


def _add(totals: Sequence[Tensor], outputs: Sequence[Tensor], pushed: Sequence[Row]) -> None:
    rows = torch.tensor([row for row, _ in pushed], device=outputs[0].device)
    scales = torch.tensor([push.scales for _, push in pushed], **_like(outputs[0]))[:, :, None, None, None]
    regions = _regions(pushed)
    for layer, (total, output) in enumerate(zip(totals, outputs, strict=True)):
        scaled = output * scales[:, layer]
        total.index_add_(0, rows, scaled if regions is None else scaled * _at_size(regions, output))


def _regions(pushed: Sequence[Row]) -> Tensor | None:
    """(rows, 1, h, w); None where every push acts everywhere."""
    if all(push.region is None for _, push in pushed):
        return None
    everywhere = next(torch.ones_like(push.region) for _, push in pushed if push.region is not None)
    return torch.stack([everywhere if push.region is None else push.region for _, push in pushed])


def _at_size(regions: Tensor, output: Tensor) -> Tensor:
    return functional.interpolate(regions, output.shape[-2:], mode="area").to(output.dtype)


def _like(tensor: Tensor) -> dict[str, Any]:
    return {"dtype": tensor.dtype, "device": tensor.device}
