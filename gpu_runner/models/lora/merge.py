"""Reads LoRA files and merges them into copies of checkpoint weights. The checkpoint is not modified."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.networks.module_copies import submodule
from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.model_detection.adapter_layouts import UNET, Adapter, Module, read_adapter, split
from gpu_runner.protocol.model_detection.transformers.lora_names import lora_families

from .deltas import Parts, weight_delta
from .targets import Target, target_of
from .transformer_merge import changes_of, merged_transformer

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Lora:
    """The tensors of a LoRA by module, and the textual inversions that the file contains by name."""

    name: str
    modules: Mapping[Module, Parts]
    bundled: Mapping[str, Parts] = field(default_factory=dict)
    other_networks: Mapping[str, Parts] = field(
        default_factory=dict
    )  # by path; modules of transformers among them

    @property
    def size_bytes(self) -> int:
        groups = (*self.modules.values(), *self.bundled.values(), *self.other_networks.values())
        tensors = (tensor for parts in groups for tensor in parts.values())
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def parts(self, checkpoint: LoadedCheckpoint) -> set[str]:
        """Names of the checkpoint parts that this LoRA changes.

        Modules missing from the checkpoint are skipped, as in A1111. Raises ModelUnavailable if none matches.
        """
        found = {target.part for target, _parts in _matching(checkpoint, self)}
        if checkpoint.facts.flow is not None and any(
            True for _ in changes_of(checkpoint, self.other_networks)
        ):
            found.add(UNET)
        if not found:
            raise ModelUnavailable(f"LoRA {self.name} matches no layer of this checkpoint")
        absent = [module.name for module in self.modules if target_of(checkpoint, module) is None]
        if absent:
            log.warning("%s: %d modules are not in this checkpoint: %s", self.name, len(absent), absent[0])
        return found


class LoraWeight(NamedTuple):
    """A LoRA with its weight in a variant."""

    lora: Lora
    weight: float
    rank: int | None = None  # number of ranks used; None: all


def read_lora(file: TensorFile, name: str) -> Lora:
    """Read a LoRA. Raises ModelUnavailable if the file is not a LoRA, or contains NaN."""
    adapter = read_adapter(file)
    if not adapter.is_adapter:
        raise ModelUnavailable(f"{name} is not a LoRA")
    other_networks = _of_other_networks(file, adapter)
    left_out = adapter.unused if other_networks else adapter.left_out
    if left_out:
        log.warning("%s: %d modules or tensors are not used", name, len(left_out))
    return Lora(
        name,
        {module: _tensors(file, roles) for module, roles in adapter.modules.items()},
        {embedding: _tensors(file, tensors) for embedding, tensors in adapter.bundled.items()},
        {path: _tensors(file, roles) for path, roles in other_networks.items()},
    )


def _of_other_networks(file: TensorFile, adapter: Adapter) -> dict[str, dict[str, str]]:
    """Tensor names by path and role; only of files for transformers, as others may have leftovers of any kind."""
    if not adapter.foreign or not lora_families(adapter.foreign):
        return {}
    paths: dict[str, dict[str, str]] = {path: {} for path in adapter.foreign}
    for name in file.shapes:
        found = split(name)
        if found is not None and found[0] in paths:
            paths[found[0]][found[1]] = name
    return paths


def _tensors(file: TensorFile, names: Mapping[str, str]) -> Parts:
    tensors = {role: file[name].clone() for role, name in names.items()}
    for role, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.float().isfinite().all()):
            raise ModelUnavailable(f"{names[role]} contains values that are not numbers")
    return tensors


def merged_tensors(checkpoint: LoadedCheckpoint, part: str, loras: Sequence[LoraWeight]) -> dict[str, Tensor]:
    """Merged tensors of one checkpoint part (unet, text_encoder, ...), by name; only those that change."""
    module: nn.Module = getattr(checkpoint, part)
    if part == UNET and checkpoint.facts.flow is not None:
        changed = [(use.lora.name, use.lora.other_networks, use.weight, use.rank) for use in loras]
        return merged_transformer(checkpoint, changed)
    changes: dict[str, list[tuple[LoraWeight, Parts]]] = {}
    for use in loras:
        for target, parts in _matching(checkpoint, use.lora):
            if target.part == part:
                changes.setdefault(target.path, []).append((use, parts))
    tensors: dict[str, Tensor] = {}
    for path, additions in changes.items():
        tensors |= _merge_module(submodule(module, path), path, additions, checkpoint.dtype)
    return tensors


def _matching(checkpoint: LoadedCheckpoint, lora: Lora) -> Iterator[tuple[Target, Parts]]:
    for module, parts in lora.modules.items():
        if target := target_of(checkpoint, module):
            yield target, parts


def _merge_module(
    module: nn.Module, path: str, additions: Sequence[tuple[LoraWeight, Parts]], dtype: torch.dtype
) -> dict[str, Tensor]:
    """Sum the deltas in float32 and cast once, so that several LoRAs lose no more precision than one."""
    sums: dict[str, Tensor] = {}
    for use, parts in additions:
        try:
            for kind, delta in _deltas(module, parts, use.rank):
                current = sums[kind] if kind in sums else _base(module, kind)
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
    return {f"{path}.{kind}": merged.to(dtype) for kind, merged in sums.items()}


def _base(module: nn.Module, kind: str) -> Tensor:
    """The checkpoint's parameter in float32; zeros for a bias that the module does not have."""
    if module._parameters[kind] is None:
        weight = _parameter(module, "weight")
        return torch.zeros(weight.shape[0], device=weight.device)
    return _parameter(module, kind).float()


def _parameter(module: nn.Module, kind: str) -> Tensor:
    """Direct lookup; faster than attribute access through ``nn.Module.__getattr__``."""
    parameter = module._parameters[kind]
    assert parameter is not None
    return parameter


def _deltas(module: nn.Module, parts: Parts, rank: int | None) -> Iterator[tuple[str, Tensor]]:
    weight = _parameter(module, "weight")
    delta = weight_delta(parts, weight, rank)
    if delta is not None:
        yield "weight", delta
    change = parts.get("diff_b", parts.get("b_norm"))
    if change is not None:
        yield "bias", change.to(weight.device, torch.float32).reshape(weight.shape[0])
