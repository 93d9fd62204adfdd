"""The modules of a checkpoint that adapters can change, by the names in files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from weakref import WeakKeyDictionary

from torch import nn

from gpu_runner.models.conversion.ldm_keys import unet_pairs
from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.protocol.model_detection.adapter_layouts import TEXT, TEXT_2, UNET, Module

ADAPTABLE = (nn.Linear, nn.Conv2d, nn.LayerNorm, nn.GroupNorm)


class Target(NamedTuple):
    """A module of a checkpoint: ``part`` is the checkpoint's attribute, ``path`` the path inside it."""

    part: str
    path: str


def target_of(checkpoint: LoadedCheckpoint, module: Module) -> Target | None:
    """The checkpoint's module that a module of an adapter file changes; None if it has none."""
    if checkpoint not in _TARGETS:
        _TARGETS[checkpoint] = dict(_all_targets(checkpoint))
    return _TARGETS[checkpoint].get((module.part, module.name))


_TARGETS: WeakKeyDictionary[LoadedCheckpoint, dict[tuple[str, str], Target]] = WeakKeyDictionary()


def _all_targets(checkpoint: LoadedCheckpoint) -> Iterator[tuple[tuple[str, str], Target]]:
    for path in _adaptable_paths(checkpoint.unet) if checkpoint.facts.flow is None else ():
        for alias in (path, path.removesuffix(".0")):
            yield (UNET, alias.replace(".", "_")), Target(UNET, path)
    for ldm, path in unet_pairs(checkpoint.unet.config) if checkpoint.facts.flow is None else ():
        for alias in (ldm, ldm.removesuffix(".0")):
            yield (UNET, alias.replace(".", "_")), Target(UNET, path)
    for part in (TEXT, TEXT_2):
        encoder = getattr(checkpoint, part)
        for path in _adaptable_paths(encoder) if encoder is not None else ():
            yield (part, path.removeprefix("text_model.").replace(".", "_")), Target(part, path)


def _adaptable_paths(module: nn.Module) -> list[str]:
    return [
        path
        for path, inner in module.named_modules()
        if isinstance(inner, ADAPTABLE) and inner.weight is not None
    ]
