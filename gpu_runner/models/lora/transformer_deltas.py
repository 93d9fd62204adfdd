"""Distributes the change of a module in a LoRA file over the modules of a transformer of diffusers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gpu_runner.protocol.model_detection.transformers.lora_names import LoraTarget


def distributed(delta: Tensor, targets: Sequence[LoraTarget], rows: Sequence[int]) -> dict[str, Tensor]:
    """The change of each target, by module. ``rows``: outputs of each target's module.

    Raises ValueError if the rows of the change are not those of its targets together.
    """
    if sum(rows) != len(delta):
        raise ValueError(f"the change must have {sum(rows)} outputs (got {len(delta)})")
    result = {}
    for target, part in zip(targets, delta.split(list(rows)), strict=True):
        result[target.module] = torch.cat(list(reversed(part.chunk(2)))) if target.swap else part
    return result
