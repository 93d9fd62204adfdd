"""ControlNet residuals for a batched call of a transformer. Each ControlNet is called once for all its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gpu_runner.networks.device_values import on_device
from gpu_runner.networks.diffusion.controlnet import ControlNetInput
from gpu_runner.networks.loaded import LoadedFlowControlNet
from gpu_runner.protocol.families.transformers import FLUX1

from .packing import packed, positions
from .velocities import Rows, padded_texts

Row = tuple[int, ControlNetInput]
# Families whose pipelines call a ControlNet with the prompt alone, and use its residuals for the negative prompt too.
READS_PROMPT_ONLY = frozenset({"qwen_image"})


@dataclass(frozen=True, eq=False)
class Outputs:
    """Residuals of one ControlNet for one stack of blocks: each (rows, tokens, width), for all rows of the call.

    ``place`` gives the number of the residual for a block, from the block and the number of blocks; None: none.
    """

    tensors: Sequence[Tensor]
    place: Callable[[int, int], int | None]


def residuals(family: str, transformer: Any, rows: Rows, controls: Iterable[Row]) -> dict[str, Any]:
    """Arguments of the transformer's call. Rows without a ControlNet get zeros. Empty if no row has one."""
    by_model: dict[Any, list[Row]] = {}
    for row, control in controls:
        by_model.setdefault(control.model, []).append((row, control))
    if not by_model:
        return {}
    found = [STACKS[family](model, own, transformer, rows) for model, own in by_model.items()]
    arguments: dict[str, Any] = {}
    for name, blocks in BLOCKS[family].items():
        stack = [outputs[name] for outputs in found if outputs[name].tensors]
        if stack:
            arguments[name] = _summed(stack, len(getattr(transformer, blocks)))
    if family == "z_image":  # by number, and nothing for blocks between
        samples = arguments["controlnet_block_samples"]
        return {"controlnet_block_samples": {n: one for n, one in enumerate(samples) if one is not None}}
    return arguments


def _summed(stack: Sequence[Outputs], blocks: int) -> list[Tensor | None]:
    """The residual of each block. Blocks with the same ones share a tensor."""
    sums: dict[tuple[int | None, ...], Tensor | None] = {}
    result = []
    for block in range(blocks):
        places = tuple(outputs.place(block, blocks) for outputs in stack)
        if places not in sums:
            parts = [
                outputs.tensors[place]
                for outputs, place in zip(stack, places, strict=True)
                if place is not None
            ]
            sums[places] = sum(parts[1:], parts[0]) if parts else None
        result.append(sums[places])
    return result


def _spread(residuals: int) -> Callable[[int, int], int]:
    """Neighboring blocks share a residual, in groups of one size."""
    return lambda block, blocks: block // ceil(blocks / residuals)


def _stretched(residuals: int) -> Callable[[int, int], int]:
    """The same, in groups whose sizes differ by one at most."""
    return lambda block, blocks: int(block / (blocks / residuals))


def _in_turn(residuals: int) -> Callable[[int, int], int]:
    return lambda block, blocks: block % residuals


@dataclass(frozen=True, eq=False)
class _Call:
    """The rows of one ControlNet, and the tokens that its residuals have."""

    controls: Sequence[Row]
    rows: Rows
    hints: Tensor
    everything: Rows

    @classmethod
    def of(cls, controls: Sequence[Row], rows: Rows) -> _Call:
        places = [row for row, _control in controls]
        hints = torch.stack([control.hint for _row, control in controls]).to(rows.x)
        return cls(controls, _at(rows, places), hints, rows)

    @property
    def modes(self) -> Tensor:
        return on_device([[control.mode] for _row, control in self.controls], self.rows.x.device)

    def values(self, of: Callable[[ControlNetInput], float]) -> Tensor:
        """A number of each unit, (rows, 1, 1)."""
        numbers = [of(control) for _row, control in self.controls]
        return on_device(numbers, self.rows.x.device)[:, None, None]

    def scaled(
        self, outputs: Sequence[Tensor], first: int = 0, *, tokens: int = 0, relative: bool = False
    ) -> list[Tensor]:
        """Residuals of all rows of the call, times weight and region. ``first`` is the number of the first output.

        ``relative``: the weight is in them already. ``tokens``: to which they are padded. Those of texts, behind those of the image, belong to no place: a
        region weights them by its share of the image.
        """
        x, places = self.everything.x, [row for row, _control in self.controls]
        index = on_device(places, x.device)
        regions = self._regions(outputs[0].shape[1]) if outputs else None
        result = []
        for number, output in enumerate(outputs, first):
            scales = self.values(partial(_scale_of, number, relative=relative))
            weighted = output * scales.to(output)
            if regions is not None:
                weighted = weighted * regions.to(output)
            if tokens > output.shape[1]:
                weighted = functional.pad(weighted, (0, 0, 0, tokens - output.shape[1]))
            total = weighted.new_zeros(len(x), *weighted.shape[1:])
            result.append(total.index_add_(0, index, weighted))
        return result

    def _regions(self, tokens: int) -> Tensor | None:
        """Weights of the tokens, (rows, tokens, 1); None if no unit has a region."""
        found = [control.region for _row, control in self.controls]
        if all(region is None for region in found):
            return None
        height, width = self.rows.x.shape[-2:]
        everywhere = torch.ones(1, height, width, device=self.rows.x.device)
        masks = torch.stack([everywhere if region is None else region for region in found])
        of_image = functional.interpolate(masks, (height // 2, width // 2), mode="area").flatten(1)
        padding = of_image.mean(1, keepdim=True).expand(-1, max(0, tokens - of_image.shape[1]))
        return torch.cat([of_image, padding], dim=1)[:, :tokens, None]


def _scale_of(number: int, control: ControlNetInput, *, relative: bool) -> float:
    scale = control.scales[number]
    return scale / control.weight if relative and control.weight else scale


def _at(rows: Rows, places: Sequence[int]) -> Rows:
    """These rows, in this order, without what a ControlNet does not read."""
    index = on_device(places, rows.x.device)
    texts = [rows.prompts[place] if rows.prompts else rows.texts[place] for place in places]
    guidance = None if rows.guidance is None else rows.guidance[index]
    return Rows(rows.x[index], rows.times[index], texts, guidance)


def _contexts(rows: Rows) -> Tensor:
    """Those of texts that have one length."""
    return torch.stack([text.context for text in rows.texts]).to(rows.x)


def _pooled(rows: Rows) -> Tensor:
    return torch.stack([text.pooled for text in rows.texts if text.pooled is not None]).to(rows.x)


def _flux1(
    model: LoadedFlowControlNet, controls: Sequence[Row], transformer: Any, rows: Rows
) -> dict[str, Outputs]:
    """FluxControlNetModel of diffusers. One with a guidance value gets the default of FLUX.1 dev beside schnell."""
    call, net = _Call.of(controls, rows), model.net
    x = call.rows.x
    guidance = call.rows.guidance if net.config.guidance_embeds else None
    if net.config.guidance_embeds and guidance is None:
        guidance = torch.full((len(x),), FLUX1.defaults.guidance, device=x.device)
    context = _contexts(call.rows)
    double, single = net(
        hidden_states=packed(x),
        controlnet_cond=packed(call.hints),
        controlnet_mode=call.modes if model.modes else None,
        timestep=call.rows.times,
        guidance=guidance,
        pooled_projections=_pooled(call.rows),
        encoder_hidden_states=context,
        txt_ids=context.new_zeros(context.shape[1], 3),
        img_ids=positions(x.shape[-2] // 2, x.shape[-1] // 2, x.device),
        return_dict=False,
    )
    first, second = call.scaled(double or []), call.scaled(single or [], len(double or []))
    place = _in_turn if model.reads_pixels else _spread
    return {
        "controlnet_block_samples": Outputs(first, place(len(first) or 1)),
        "controlnet_single_block_samples": Outputs(second, _spread(len(second) or 1)),
    }


def _qwen_image(
    model: LoadedFlowControlNet, controls: Sequence[Row], transformer: Any, rows: Rows
) -> dict[str, Outputs]:
    """QwenImageControlNetModel of diffusers."""
    call = _Call.of(controls, rows)
    height, width = call.rows.x.shape[-2:]
    context, mask = padded_texts(call.rows)
    outputs = model.net(
        hidden_states=packed(call.rows.x),
        controlnet_cond=packed(call.hints),
        timestep=call.rows.times,
        encoder_hidden_states=context,
        encoder_hidden_states_mask=mask,
        img_shapes=[[(1, height // 2, width // 2)]] * len(call.rows.x),
        return_dict=False,
    )
    return {"controlnet_block_samples": Outputs(call.scaled(outputs), _spread(len(outputs)))}


def _sd3(
    model: LoadedFlowControlNet, controls: Sequence[Row], transformer: Any, rows: Rows
) -> dict[str, Outputs]:
    """SD3ControlNetModel of diffusers. One without positions has no text, and reads the pooled one."""
    call, net = _Call.of(controls, rows), model.net
    texts = _pooled(call.rows)
    outputs = net(
        hidden_states=call.rows.x if net.config.use_pos_embed else transformer.pos_embed(call.rows.x),
        controlnet_cond=call.hints,
        encoder_hidden_states=_contexts(call.rows) if net.context_embedder is not None else None,
        pooled_projections=torch.zeros_like(texts) if net.config.force_zeros_for_pooled_projection else texts,
        timestep=call.rows.times * 1000,
        return_dict=False,
    )[0]
    return {"block_controlnet_hidden_states": Outputs(call.scaled(outputs), _stretched(len(outputs)))}


SEQUENCE = 32  # Z-Image pads the tokens of an image and those of its text to multiples of this


def _z_image(
    model: LoadedFlowControlNet, controls: Sequence[Row], transformer: Any, rows: Rows
) -> dict[str, Outputs]:
    """ZImageControlNetModel of diffusers, which has its first layers in common with the transformer.

    The weight of a unit also scales what the layers before the transformer's add inside of it.
    """
    call = _Call.of(controls, rows)
    weights = call.values(lambda control: control.weight).to(rows.x)
    with _sharing(model.net, transformer):
        samples = model.net(
            list(call.rows.x[:, :, None].unbind()),
            1 - call.rows.times,
            [text.context.to(call.rows.x) for text in call.rows.texts],
            list(call.hints[:, :, None].unbind()),
            conditioning_scale=weights,
        )
    image = ceil(rows.x.shape[-2] * rows.x.shape[-1] / 4 / SEQUENCE)
    longest = max(ceil(len(text.context) / SEQUENCE) for text in rows.texts)
    outputs = call.scaled(list(samples.values()), tokens=(image + longest) * SEQUENCE, relative=True)
    number = {layer: place for place, layer in enumerate(samples)}
    return {"controlnet_block_samples": Outputs(outputs, lambda block, blocks: number.get(block))}


SHARED = (
    "t_embedder",
    "all_x_embedder",
    "cap_embedder",
    "rope_embedder",
    "noise_refiner",
    "context_refiner",
    "x_pad_token",
    "cap_pad_token",
)


@contextmanager
def _sharing(net: Any, transformer: Any) -> Iterator[None]:
    """Give the ControlNet the layers of the transformer, and take them back, so that it does not keep them in memory."""
    net.t_scale = transformer.t_scale
    for name in SHARED:
        setattr(net, name, getattr(transformer, name))
    try:
        yield
    finally:
        for name in SHARED:
            setattr(net, name, None)


STACKS: dict[str, Callable[[LoadedFlowControlNet, Sequence[Row], Any, Rows], dict[str, Outputs]]] = {
    "flux1": _flux1,
    "qwen_image": _qwen_image,
    "sd3": _sd3,
    "z_image": _z_image,
}
# Arguments of the transformers, and their blocks that the residuals are for.
BLOCKS = {
    "flux1": {
        "controlnet_block_samples": "transformer_blocks",
        "controlnet_single_block_samples": "single_transformer_blocks",
    },
    "qwen_image": {"controlnet_block_samples": "transformer_blocks"},
    "sd3": {"block_controlnet_hidden_states": "transformer_blocks"},
    "z_image": {"controlnet_block_samples": "layers"},
}
