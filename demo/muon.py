"""Muon (https://kellerjordan.github.io/posts/muon/): momentum, made orthogonal by five Newton-Schulz iterations.

Fewer steps than AdamW in a short trial on these small convolutional networks (docs/decisions/0003-demo-model.md). Matrices and convolutions go to Muon, the rest (norms, biases, embeddings) to AdamW.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


def orthogonalised(update: Tensor, iterations: int = 5) -> Tensor:
    """The nearest semi-orthogonal matrix to ``update`` (rows, columns), approximately; quintic Newton-Schulz.

    Every iterate is a polynomial of the Gram matrix times the update, so the iterations run on the small Gram matrix
    and the wide update is multiplied only twice.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = update / (update.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    gram = x @ x.T
    identity = torch.eye(gram.shape[0])
    product = identity
    for _ in range(iterations):
        factor = a * identity + b * gram + c * gram @ gram
        product = factor @ product
        gram = factor @ gram @ factor
    x = product @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    def __init__(self, params: Iterable[nn.Parameter], lr: float = 0.01, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                velocity = state.setdefault("velocity", torch.zeros_like(parameter))
                velocity.lerp_(parameter.grad, 1 - group["momentum"])
                ahead = parameter.grad.lerp(velocity, group["momentum"]).flatten(1)
                rows, columns = ahead.shape
                scale = max(1.0, rows / columns) ** 0.5
                parameter.add_(orthogonalised(ahead).view_as(parameter), alpha=-group["lr"] * scale)


def split_parameters(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """(for Muon, for AdamW). First and last convolutions are left to AdamW, as the method's author advises."""
    matrices, rest = [], []
    for name, parameter in model.named_parameters():
        edge = "conv_in" in name or "conv_out" in name or "embedding" in name
        (matrices if parameter.ndim >= 2 and not edge else rest).append(parameter)
    return matrices, rest
