"""Merges LoRAs into a transformer of diffusers. Files have the names of its authors or of diffusers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.networks.module_copies import submodule
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.model_detection.transformers.lora_names import LoraTarget, lora_targets

from .deltas import Parts, weight_delta
from .transformer_deltas import distributed

Change = tuple[str, Parts, tuple[LoraTarget, ...], list[nn.Linear]]


def changes_of(checkpoint: LoadedCheckpoint, modules: Mapping[str, Parts]) -> Iterator[Change]:
    """Yield the modules of a LoRA that the transformer has. ``modules``: tensors by path in the file."""
    blocks = len(getattr(checkpoint.unet, "transformer_blocks", ()))
    for path, parts in modules.items():
        targets = lora_targets(checkpoint.family, path, blocks)
        try:
            inner = [submodule(checkpoint.unet, target.module) for target in targets]
        except (AssertionError, KeyError):
            continue  # of a larger transformer
        found = [module for module in inner if isinstance(module, nn.Linear)]
        if found and len(found) == len(targets):
            yield path, parts, targets, found


def merged_transformer(
    checkpoint: LoadedCheckpoint, loras: Sequence[tuple[str, Mapping[str, Parts], float, int | None]]
) -> dict[str, Tensor]:
    """Changed tensors of the transformer by name. ``loras``: name of the file, its modules, weight, and rank.

    Raises ModelUnavailable if a change has other sizes than its module.
    """
    sums: dict[str, Tensor] = {}
    for name, modules, strength, rank in loras:
        for path, parts, targets, found in changes_of(checkpoint, modules):
            weights: list[Any] = [module.weight for module in found]
            rows = [len(weight) for weight in weights]
            try:
                delta = weight_delta(parts, _joined(found, targets), rank)
                changed = {} if delta is None else distributed(delta, targets, rows)
            except (IndexError, RuntimeError, ValueError, ZeroDivisionError) as error:
                if isinstance(error, torch.OutOfMemoryError):
                    raise
                raise ModelUnavailable(
                    f"LoRA {name} does not fit this checkpoint at {path}: {error}"
                ) from error
            for unchanged, (target, part) in zip(weights, changed.items(), strict=False):
                tensor = f"{target}.weight"
                base = sums[tensor] if tensor in sums else unchanged.float()
                sums[tensor] = torch.add(base, part, alpha=strength)
    return {name: tensor.to(checkpoint.dtype) for name, tensor in sums.items()}


def _joined(modules: Sequence[nn.Linear], targets: Sequence[LoraTarget]) -> Tensor:
    """The weight as the file has it: rows of all targets one after another, with swapped halves where theirs are."""
    weights: list[Tensor] = []
    for module, target in zip(modules, targets, strict=True):
        weight: Any = module.weight
        weights.append(torch.cat(list(reversed(weight.chunk(2)))) if target.swap else weight)
    return torch.cat(weights) if len(weights) > 1 else weights[0]
