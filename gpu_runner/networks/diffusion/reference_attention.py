"""reference_only and reference_adain: a picture looks at another one from inside of the UNet.

The other picture, under as much noise, travels in the same call in rows of its own. In the self-attention of each
transformer block, the rows of the picture attend to their guest's tokens besides their own; with AdaIN (Huang and
Belongie 2017) the blocks' outputs take over their guest's mean and deviation. Strangers' rows are not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.attention import BasicTransformerBlock
from torch import Tensor, nn

LEAST_VARIANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Reference:
    """What a picture looks at."""

    latent: Tensor  # (4, h, w)
    noise: Tensor
    weight: float  # how many of the UNet's blocks share: above 0 the widest, at 1 all
    fidelity: float  # how much of it the negative rows do not see
    attention: bool
    adain: bool

    def at(self, sigma: float) -> Tensor:
        """As a UNet takes it."""
        return (self.latent + self.noise * sigma) / (1 + sigma**2) ** 0.5


@dataclass(frozen=True, eq=False)
class ReferenceRow:
    """A row of a call, and the row of what it looks at."""

    row: int
    guest: int
    negative: bool
    reference: Reference

    @property
    def own(self) -> float:
        """How much of what it would be without a guest remains."""
        return self.reference.fidelity if self.negative else 0.0


Change = Callable[[Any, Tensor, Tensor, list[ReferenceRow]], Tensor]


@contextmanager
def shared(unet: nn.Module, guests: Sequence[ReferenceRow]) -> Iterator[None]:
    """While this lasts, calls of the UNet have these guests."""
    with ExitStack() as hooks:
        if any(guest.reference.attention for guest in guests):
            for module, share in _attentions(unet):
                _hook(hooks, module, _attend, _of(guests, share, "attention"))
        if any(guest.reference.adain for guest in guests):
            for module, share in _blocks(unet):
                _hook(hooks, module, _adapt, _of(guests, share, "adain"))
        yield


def _of(guests: Sequence[ReferenceRow], share: float, kind: str) -> list[ReferenceRow]:
    return [guest for guest in guests if getattr(guest.reference, kind) and guest.reference.weight > share]


def _hook(hooks: ExitStack, module: nn.Module, change: Change, guests: list[ReferenceRow]) -> None:
    if not guests:
        return

    def after(module: Any, arguments: tuple[Any, ...], output: Any) -> Any:
        whole = output[0] if isinstance(output, tuple) else output
        rows = torch.tensor([guest.row for guest in guests], device=whole.device)
        own = torch.tensor([guest.own for guest in guests], device=whole.device, dtype=whole.dtype)
        own = own.view(-1, *[1] * (whole.ndim - 1))
        changed = change(module, arguments[0], whole, guests)
        whole = whole.index_copy(0, rows, own * whole[rows] + (1 - own) * changed)
        return (whole, *output[1:]) if isinstance(output, tuple) else whole

    hooks.callback(module.register_forward_hook(after).remove)


def _attend(module: Any, tokens: Tensor, output: Tensor, guests: list[ReferenceRow]) -> Tensor:
    own = tokens[[guest.row for guest in guests]]
    others = tokens[[guest.guest for guest in guests]]
    # Not the module itself, whose hook this is.
    return module.forward(own, encoder_hidden_states=torch.cat([own, others], dim=1))


def _adapt(module: Any, before: Tensor, output: Tensor, guests: list[ReferenceRow]) -> Tensor:
    own, others = output[[guest.row for guest in guests]], output[[guest.guest for guest in guests]]
    (own_variance, own_mean), (variance, mean) = (
        torch.var_mean(part, dim=(2, 3), keepdim=True, correction=0) for part in (own, others)
    )
    scale = (variance.clamp(min=LEAST_VARIANCE) / own_variance.clamp(min=LEAST_VARIANCE)) ** 0.5
    return (own - own_mean) * scale + mean


def _attentions(unet: nn.Module) -> list[tuple[nn.Module, float]]:
    """Self-attentions, the widest first, and the weight above which each shares."""
    blocks = [module for module in unet.modules() if isinstance(module, BasicTransformerBlock)]
    blocks.sort(key=lambda block: -block.norm1.normalized_shape[0])
    return [(block.attn1, place / len(blocks)) for place, block in enumerate(blocks)]


def _blocks(unet: Any) -> list[tuple[nn.Module, float]]:
    """The middle first; then outwards on both sides, but never the outermost level."""
    inward = [block for level in unet.down_blocks[1:] for block in _layers(level)]
    outward = [block for level in unet.up_blocks[:-1] for block in _layers(level)][:-1]
    return [
        (_layers(unet.mid_block)[-1], 0.0),
        *((block, 2 - 2 * place / len(inward)) for place, block in enumerate(inward)),
        *((block, 2 * place / len(outward)) for place, block in enumerate(outward)),
    ]


def _layers(level: Any) -> list[nn.Module]:
    """The last module of each layer: its attention, where it has one. The middle's last one is a ResNet block."""
    resnets, attentions = list(level.resnets), list(getattr(level, "attentions", ()))
    if len(resnets) > len(attentions):
        return resnets
    return attentions
