"""The tensors of a diffusion transformer under the names that the authors of its family publish."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from gpu_runner.protocol.model_detection.transformers.key_map import KeyMap, Rule, number_of_blocks
from gpu_runner.protocol.model_detection.transformers.recognition import TRANSFORMERS

BY_FAMILY = {transformer.family: transformer for transformer in TRANSFORMERS}


def original_layout(family: str, state: Mapping[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """The tensors under the names that the authors of the family publish, without those that the state lacks."""
    return renamed(BY_FAMILY[family].key_map, state, prefix)


def renamed(key_map: KeyMap, state: Mapping[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """The tensors under their original names."""
    result: dict[str, Tensor] = {}
    for rule in key_map.top:
        result |= _original(rule, state, "", "", is_last=False)
    for stack in key_map.stacks:
        blocks = number_of_blocks(dict.fromkeys(state, ()), stack.diffusers)
        for block in range(blocks):
            names = f"{stack.original}.{block}.", f"{stack.diffusers}.{block}."
            for rule in stack.rules:
                result |= _original(rule, state, *names, is_last=block + 1 == blocks)
    return {f"{prefix}{name}": tensor.contiguous() for name, tensor in result.items()}


def _original(
    rule: Rule, state: Mapping[str, Tensor], theirs: str, ours: str, *, is_last: bool
) -> dict[str, Tensor]:
    result = {}
    for ending, our_ending in rule.endings.items():
        names = [_joined(f"{ours}{name}", our_ending) for name in rule.diffusers]
        if names[0] not in state:
            continue
        tensor = torch.cat([state[name] for name in names])
        if rule.swap == "always" or (rule.swap == "last" and is_last):
            tensor = torch.cat(list(reversed(tensor.chunk(2))))
        result[_joined(f"{theirs}{rule.original}", ending)] = tensor
    return result


def _joined(module: str, ending: str) -> str:
    return f"{module.rstrip('.')}.{ending}" if ending else module
