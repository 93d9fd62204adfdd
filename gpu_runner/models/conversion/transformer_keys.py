"""Carries out the conversions of ``model_detection.transformers`` on tensors."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from gpu_runner.protocol.model_detection.transformers.key_map import Conversion, Part


def to_diffusers(file: Mapping[str, Tensor], conversion: Conversion) -> dict[str, Tensor]:
    """The tensors of a file under the names of diffusers. They are views where no halves are swapped."""
    return {name: _part(file[part.source], part) for name, part in conversion.parts.items()}


def _part(tensor: Tensor, part: Part) -> Tensor:
    if part.swap:
        first, second = tensor.chunk(2)
        return torch.cat([second, first])
    return tensor if part.start is None else tensor[part.start : part.stop]


def from_diffusers(state: Mapping[str, Tensor], conversion: Conversion) -> dict[str, Tensor]:
    """Inverse of ``to_diffusers``: the tensors that the file of the conversion had."""
    pieces: dict[str, list[tuple[int, Tensor]]] = {}
    for name, part in conversion.parts.items():
        tensor = _part(state[name], Part("", part.shape, swap=part.swap))
        pieces.setdefault(part.source, []).append((part.start or 0, tensor))
    return {
        source: torch.cat([tensor for _start, tensor in sorted(rows, key=lambda row: row[0])])
        for source, rows in pieces.items()
    }
