"""The Muon optimizer (https://kellerjordan.github.io/posts/muon/) for convolutional networks.

Needs fewer steps than AdamW in a short trial on these small networks (docs/decisions/0003-demo-model.md). Matrices and
convolutions use Muon, the rest (norms, biases, embeddings) AdamW.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn


class Muon(torch.optim.Muon):
    """torch.optim.Muon, which supports matrices only, for convolutions too: kernels are flattened to (output channels, rest)."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float = 0.01, momentum: float = 0.95) -> None:
        self._kernels = list(params)
        self._matrices = [nn.Parameter(kernel.detach().flatten(1).clone()) for kernel in self._kernels]
        super().__init__(self._matrices, lr=lr, momentum=momentum, weight_decay=0.0)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for kernel, matrix in zip(self._kernels, self._matrices, strict=True):
            matrix.copy_(kernel.flatten(1))
            matrix.grad = None if kernel.grad is None else kernel.grad.flatten(1)
        super().step(closure)
        for kernel, matrix in zip(self._kernels, self._matrices, strict=True):
            kernel.copy_(matrix.view_as(kernel))

    def zero_grad(self, set_to_none: bool = True) -> None:
        super().zero_grad(set_to_none)
        for kernel in self._kernels:
            kernel.grad = None


def split_parameters(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Return the parameters for (Muon, AdamW). First and last convolutions use AdamW, as the author of Muon recommends."""
    matrices, rest = [], []
    for name, parameter in model.named_parameters():
        edge = "conv_in" in name or "conv_out" in name or "embedding" in name
        (matrices if parameter.ndim >= 2 and not edge else rest).append(parameter)
    return matrices, rest
