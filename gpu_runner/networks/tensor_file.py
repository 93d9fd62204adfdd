"""Mapping of tensor names to the tensors of a model file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from gpu_runner.protocol.model_detection.safetensors_header import Metadata, Shapes


class TensorFile(Mapping[str, Tensor]):
    """Read-only mapping of tensor names to tensors. Safetensors files are read lazily, per tensor.

    ``__getitem__`` raises KeyError for an unknown name.
    """

    def __init__(self, shapes: Shapes, metadata: Metadata, source: Any) -> None:
        self.shapes = shapes
        self.metadata = metadata
        self._source = source

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.shapes:
            raise KeyError(name)
        return self._source.get_tensor(name) if hasattr(self._source, "get_tensor") else self._source[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)
