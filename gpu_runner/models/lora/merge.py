"""Reads LoRA files and merges them into copies of checkpoint weights. The checkpoint is not modified."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.networks.module_copies import submodule
from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol.errors import ModelUnavailable

from .deltas import UNSUPPORTED, Parts, is_complete, weight_delta
from .key_names import Target, split, targets


@dataclass(frozen=True, eq=False)
class Lora:
    """The tensors of a LoRA, grouped by kohya module name."""

    name: str
    modules: Mapping[str, Parts]

    @property
    def size_bytes(self) -> int:
        tensors = (tensor for parts in self.modules.values() for tensor in parts.values())
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def parts(self, checkpoint: LoadedCheckpoint) -> set[str]:
        """Names of the checkpoint parts that this LoRA changes.

        Modules missing from the checkpoint are skipped, as in A1111. Raises ModelUnavailable if none matches.
        """
        found = {target.part for target, _parts in _matching(checkpoint, self)}
        if not found:
            raise ModelUnavailable(f"LoRA {self.name} matches no layer of this checkpoint")
        return found


class LoraWeight(NamedTuple):
    """A LoRA with its weight in a variant."""

    lora: Lora
    weight: float
    rank: int | None = None  # number of ranks used; None: all


def read_lora(file: TensorFile, name: str) -> Lora:
    """Read a LoRA. Raises ModelUnavailable if the file is not a LoRA or its kind is not supported."""
    modules: dict[str, dict[str, Tensor]] = {}
    for tensor_name in file:
        if found := split(tensor_name):
            module, part = found
            modules.setdefault(module, {})[part] = file[tensor_name].clone()
    for part, kind in UNSUPPORTED.items():
        if any(part in parts for parts in modules.values()):
            raise ModelUnavailable(f"{name} is a {kind} adapter, which is not supported")
    complete = {module: parts for module, parts in modules.items() if is_complete(parts)}
    if not complete:
        raise ModelUnavailable(f"{name} is not a LoRA")
    return Lora(name, complete)


def merged_tensors(checkpoint: LoadedCheckpoint, part: str, loras: Sequence[LoraWeight]) -> dict[str, Tensor]:
    """Merged tensors of one checkpoint part (unet, text_encoder, ...), by name; only those that change."""
    module: nn.Module = getattr(checkpoint, part)
    changes: dict[str, list[tuple[LoraWeight, Parts]]] = {}
    for use in loras:
        for target, parts in _matching(checkpoint, use.lora):
            if target.part == part:
                changes.setdefault(target.path, []).append((use, parts))
    tensors: dict[str, Tensor] = {}
    for path, additions in changes.items():
        tensors |= _merge_module(submodule(module, path), path, additions)
    return tensors


def _matching(checkpoint: LoadedCheckpoint, lora: Lora) -> Iterator[tuple[Target, Parts]]:
    known = targets(checkpoint)
    return ((known[module], parts) for module, parts in lora.modules.items() if module in known)


def _merge_module(
    module: nn.Module, path: str, additions: Sequence[tuple[LoraWeight, Parts]]
) -> dict[str, Tensor]:
    """Sum the deltas in float32 and cast once, so that several LoRAs lose no more precision than one."""
    sums: dict[str, Tensor] = {}
    for use, parts in additions:
        try:
            for kind, delta in _deltas(module, parts, use.rank):
                current = sums[kind] if kind in sums else _parameter(module, kind).float()
                sums[kind] = torch.add(current, delta, alpha=use.weight)
        except torch.OutOfMemoryError:
            raise
        except (
            ValueError,
            RuntimeError,
            IndexError,
            ZeroDivisionError,
        ) as error:  # rank 0, or a tensor of the wrong dimension
            raise ModelUnavailable(
                f"LoRA {use.lora.name} does not fit this checkpoint at {path}: {error}"
            ) from error
    return {f"{path}.{kind}": merged.to(_parameter(module, kind).dtype) for kind, merged in sums.items()}


def _parameter(module: nn.Module, kind: str) -> Tensor:
    """Direct lookup; faster than attribute access through ``nn.Module.__getattr__``."""
    parameter = module._parameters[kind]
    assert parameter is not None
    return parameter


def _deltas(module: nn.Module, parts: Parts, rank: int | None) -> Iterator[tuple[str, Tensor]]:
    weight, bias = _parameter(module, "weight"), module._parameters["bias"]
    delta = weight_delta(parts, weight.shape, weight.device, rank)
    if delta is not None:
        yield "weight", delta
    if "diff_b" in parts and bias is not None:
        yield "bias", parts["diff_b"].to(weight.device, torch.float32).reshape(bias.shape)
