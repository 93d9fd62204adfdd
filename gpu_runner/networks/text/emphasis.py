"""What a token's weight does to its state: A1111's four ways."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

SMALL_MEAN = 1e-2  # of the spread; the released text encoders have a tenth


def original(states: Tensor, weights: Tensor) -> Tensor:
    """Multiply each token, then bring the mean of the chunk back to what it was.

    Where the mean was next to nothing there is nothing to bring back, and the quotient would be noise.
    """
    changed = states.float() * weights[..., None]
    before, after = (value.float().mean(dim=(1, 2), keepdim=True) for value in (states, changed))
    spread = states.float().std(dim=(1, 2), keepdim=True)
    meaningful = (before.abs() > SMALL_MEAN * spread) & (after.abs() > SMALL_MEAN * spread)
    scale = torch.where(meaningful, before / after, 1.0)
    untouched = (weights == 1.0).all(dim=1)[:, None, None]
    return torch.where(untouched, states, (changed * scale).to(states.dtype))


def without_norm(states: Tensor, weights: Tensor) -> Tensor:
    return (states.float() * weights[..., None]).to(states.dtype)


def ignored(states: Tensor, weights: Tensor) -> Tensor:
    return states


MODES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Original": original,
    "No norm": without_norm,
    "Ignore": ignored,
    "None": ignored,  # brackets are letters there, so that there are no weights
}
