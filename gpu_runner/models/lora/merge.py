"""LoRAs: read from their files, and added to the weights of a checkpoint's twin. The checkpoint itself is never written."""

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

from .deltas import UNSUPPORTED, Parts, is_whole, weight_delta
from .key_names import Target, split, targets


@dataclass(frozen=True, eq=False)
class Lora:
    """A LoRA's tensors by the names of the modules that they change."""

    name: str
    modules: Mapping[str, Parts]

    @property
    def size_bytes(self) -> int:
        tensors = (tensor for parts in self.modules.values() for tensor in parts.values())
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def parts(self, checkpoint: LoadedCheckpoint) -> set[str]:
        """Which of the checkpoint's parts it changes.

        Modules that the checkpoint does not have are passed over, as A1111 does; but something must fit.
        """
        found = {target.part for target, _parts in _fitting(checkpoint, self)}
        if not found:
            raise ModelUnavailable(f"{self.name} has nothing to change in this checkpoint")
        return found


class LoraWeight(NamedTuple):
    """A LoRA's part in a variation."""

    lora: Lora
    weight: float
    rank: int | None = None  # so many of its ranks act; None: all


def read_lora(file: TensorFile, name: str) -> Lora:
    """Raises ModelUnavailable for what is no LoRA, or one of a kind that is not read here."""
    modules: dict[str, dict[str, Tensor]] = {}
    for tensor_name in file:
        if found := split(tensor_name):
            module, part = found
            modules.setdefault(module, {})[part] = file[tensor_name].clone()
    for part, kind in UNSUPPORTED.items():
        if any(part in parts for parts in modules.values()):
            raise ModelUnavailable(f"{name} is a {kind}, which is not supported")
    whole = {module: parts for module, parts in modules.items() if is_whole(parts)}
    if not whole:
        raise ModelUnavailable(f"{name} is not a LoRA")
    return Lora(name, whole)


def adapted(checkpoint: LoadedCheckpoint, part: str, shares: Sequence[LoraWeight]) -> dict[str, Tensor]:
    """The tensors of one part (unet, text_encoder...) that differ with these LoRAs at these weights, by name."""
    module: nn.Module = getattr(checkpoint, part)
    changes: dict[str, list[tuple[LoraWeight, Parts]]] = {}
    for share in shares:
        for target, parts in _fitting(checkpoint, share.lora):
            if target.part == part:
                changes.setdefault(target.path, []).append((share, parts))
    tensors: dict[str, Tensor] = {}
    for path, additions in changes.items():
        tensors |= _changed(submodule(module, path), path, additions)
    return tensors


def _fitting(checkpoint: LoadedCheckpoint, lora: Lora) -> Iterator[tuple[Target, Parts]]:
    known = targets(checkpoint)
    return ((known[module], parts) for module, parts in lora.modules.items() if module in known)


def _changed(
    module: nn.Module, path: str, additions: Sequence[tuple[LoraWeight, Parts]]
) -> dict[str, Tensor]:
    """Computed in float32 and rounded once, so that several LoRAs lose no more than one."""
    sums: dict[str, Tensor] = {}
    for share, parts in additions:
        try:
            for kind, delta in _deltas(module, parts, share.rank):
                before = sums[kind] if kind in sums else _parameter(module, kind).float()
                sums[kind] = torch.add(before, delta, alpha=share.weight)
        except torch.OutOfMemoryError:
            raise
        except (ValueError, RuntimeError, IndexError, ZeroDivisionError) as error:  # of no rank, or no matrix
            raise ModelUnavailable(
                f"{share.lora.name} does not fit this checkpoint at {path}: {error}"
            ) from error
    return {f"{path}.{kind}": total.to(_parameter(module, kind).dtype) for kind, total in sums.items()}


def _parameter(module: nn.Module, kind: str) -> Tensor:
    """Without the search that an attribute of a module is."""
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
