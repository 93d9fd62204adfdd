"""Storage of a denoiser's large weights in float8, for cards with little memory. Computations keep their precision.

Only the linear layers of repeated blocks: they are nearly all of a transformer, and norms and embeddings need their range.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gpu_runner.networks.compilation.regional import repeated_blocks

FLOAT8 = torch.float8_e4m3fn
HIGHEST = torch.finfo(FLOAT8).max


class StoredLinear(nn.Linear):
    """A linear layer whose weight is converted to the precision of its input in each call."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight.to(x.dtype), self.bias)


def store_in_float8(network: nn.Module) -> int:
    """Convert the weights in place. Returns the number of bytes saved."""
    saved = 0
    linears = {
        id(module): module
        for block in repeated_blocks(network)
        for module in block.modules()
        if type(module) is nn.Linear
    }
    for module in linears.values():
        weight = module.weight
        if float(weight.detach().abs().max()) > HIGHEST:
            continue  # float8 would turn it into NaN
        saved += weight.numel() * (weight.element_size() - FLOAT8.itemsize)
        module.weight = nn.Parameter(weight.detach().to(FLOAT8), requires_grad=False)
        module.__class__ = StoredLinear
    return saved
