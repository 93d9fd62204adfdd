"""Prompt emphasis: the four A1111 modes of applying token weights to text encoder states."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

SMALL_MEAN = 1e-2  # relative to the standard deviation; released text encoders have about 0.1


def original(states: Tensor, weights: Tensor) -> Tensor:
    """Multiply each token's state by its weight, then rescale the chunk to its original mean.

    ``states`` is (chunks, 77, width), ``weights`` is (chunks, 77). A chunk whose mean is close to 0 is not
    rescaled, because the quotient would be dominated by noise.
    """
    changed = states.float() * weights[..., None]
    before, after = (value.float().mean(dim=(1, 2), keepdim=True) for value in (states, changed))
    spread = states.float().std(dim=(1, 2), keepdim=True)
    meaningful = (before.abs() > SMALL_MEAN * spread) & (after.abs() > SMALL_MEAN * spread)
    scale = torch.where(meaningful, before / after, 1.0)
    untouched = (weights == 1.0).all(dim=1)[:, None, None]
    return torch.where(untouched, states, (changed * scale).to(states.dtype))


def without_norm(states: Tensor, weights: Tensor) -> Tensor:
    """Multiply each token's state by its weight, without rescaling."""
    return (states.float() * weights[..., None]).to(states.dtype)


def ignored(states: Tensor, weights: Tensor) -> Tensor:
    return states


MODES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Original": original,
    "No norm": without_norm,
    "Ignore": ignored,
    "None": ignored,  # brackets are literal text in this mode, so all weights are 1
}
