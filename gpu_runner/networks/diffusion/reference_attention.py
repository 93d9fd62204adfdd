"""reference_only and reference_adain: condition an image on a reference image inside the UNet.

The reference latent, with noise of the same level, is added to the same batch as separate rows. In the
self-attention of each transformer block, the rows of the image also attend to the tokens of their reference
row. With AdaIN (Huang and Belongie 2017), block outputs take the mean and standard deviation of the reference
row. Other rows of the batch are not changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.attention import BasicTransformerBlock
from torch import Tensor, nn

from gpu_runner.networks.device_values import on_device

MIN_VARIANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Reference:
    """Reference image of a generated image, and its options."""

    latent: Tensor  # (4, h, w)
    noise: Tensor
    weight: float  # share of UNet blocks that use it: above 0 the widest ones, at 1 all
    fidelity: float  # share of their own output that the negative rows keep, in [0, 1]
    attention: bool
    adain: bool

    def at(self, sigma: float) -> Tensor:
        """Return the latent with noise of level ``sigma``, scaled for the UNet."""
        return (self.latent + self.noise * sigma) / (1 + sigma**2) ** 0.5


@dataclass(frozen=True, eq=False)
class ReferenceRow:
    """A row of the batch and the row of its reference image."""

    row: int
    reference_row: int
    negative: bool
    reference: Reference

    @property
    def kept_share(self) -> float:
        """Share of the output without the reference that is kept."""
        return self.reference.fidelity if self.negative else 0.0


Change = Callable[[Any, Tensor, Tensor, list[ReferenceRow]], Tensor]


@contextmanager
def apply_references(unet: nn.Module, pairs: Sequence[ReferenceRow]) -> Iterator[None]:
    """Context manager that applies the references to UNet calls, with forward hooks."""
    with ExitStack() as hooks:
        if any(pair.reference.attention for pair in pairs):
            for module, threshold in _attentions(unet):
                _hook(hooks, module, _attend, _active(pairs, threshold, "attention"))
        if any(pair.reference.adain for pair in pairs):
            for module, threshold in _blocks(unet):
                _hook(hooks, module, _adapt, _active(pairs, threshold, "adain"))
        yield


def _active(pairs: Sequence[ReferenceRow], threshold: float, kind: str) -> list[ReferenceRow]:
    return [pair for pair in pairs if getattr(pair.reference, kind) and pair.reference.weight > threshold]


def _hook(hooks: ExitStack, module: nn.Module, change: Change, pairs: list[ReferenceRow]) -> None:
    if not pairs:
        return

    def after(module: Any, arguments: tuple[Any, ...], output: Any) -> Any:
        whole = output[0] if isinstance(output, tuple) else output
        rows = on_device([pair.row for pair in pairs], whole.device)
        kept = on_device([pair.kept_share for pair in pairs], whole.device, whole.dtype)
        kept = kept.view(-1, *[1] * (whole.ndim - 1))
        changed = change(module, arguments[0], whole, pairs)
        whole = whole.index_copy(0, rows, kept * whole[rows] + (1 - kept) * changed)
        return (whole, *output[1:]) if isinstance(output, tuple) else whole

    hooks.callback(module.register_forward_hook(after).remove)


def _attend(module: Any, tokens: Tensor, output: Tensor, pairs: list[ReferenceRow]) -> Tensor:
    own = tokens[[pair.row for pair in pairs]]
    others = tokens[[pair.reference_row for pair in pairs]]
    # Call forward directly: calling the module would run this hook again.
    return module.forward(own, encoder_hidden_states=torch.cat([own, others], dim=1))


def _adapt(module: Any, before: Tensor, output: Tensor, pairs: list[ReferenceRow]) -> Tensor:
    own, others = output[[pair.row for pair in pairs]], output[[pair.reference_row for pair in pairs]]
    (own_variance, own_mean), (variance, mean) = (
        torch.var_mean(part, dim=(2, 3), keepdim=True, correction=0) for part in (own, others)
    )
    scale = (variance.clamp(min=MIN_VARIANCE) / own_variance.clamp(min=MIN_VARIANCE)) ** 0.5
    return (own - own_mean) * scale + mean


def _attentions(unet: nn.Module) -> list[tuple[nn.Module, float]]:
    """Self-attention layers, widest first, and the reference weight above which each one is used."""
    blocks = [module for module in unet.modules() if isinstance(module, BasicTransformerBlock)]
    blocks.sort(key=lambda block: -block.norm1.normalized_shape[0])
    return [(block.attn1, place / len(blocks)) for place, block in enumerate(blocks)]


def _blocks(unet: Any) -> list[tuple[nn.Module, float]]:
    """Blocks for AdaIN and the weight above which each one is used.

    The middle block is used first, then blocks outwards on both sides. The outermost level is never used.
    """
    inward = [block for level in unet.down_blocks[1:] for block in _layers(level)]
    outward = [block for level in unet.up_blocks[:-1] for block in _layers(level)][:-1]
    return [
        (_layers(unet.mid_block)[-1], 0.0),
        *((block, 2 - 2 * place / len(inward)) for place, block in enumerate(inward)),
        *((block, 2 * place / len(outward)) for place, block in enumerate(outward)),
    ]


def _layers(level: Any) -> list[nn.Module]:
    """Last module of each layer: the attention if there is one, else the ResNet block.

    The last layer of the middle block has no attention.
    """
    resnets, attentions = list(level.resnets), list(getattr(level, "attentions", ()))
    if len(resnets) > len(attentions):
        return resnets
    return attentions
