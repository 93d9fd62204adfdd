"""Tensors of a model file by name, read when they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from gpu_runner.protocol.model_detection.safetensors_header import Metadata, Shapes


class TensorFile(Mapping[str, Tensor]):
    """The tensors of a file by name. Those of a safetensors file are read when they are asked for."""

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
