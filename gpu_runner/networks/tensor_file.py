"""Mapping of tensor names to the tensors of a model file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from gpu_runner.protocol.model_detection.safetensors_header import Metadata, Shapes


class TensorFile(Mapping[str, Tensor]):
    """Read-only mapping of tensor names to tensors. Safetensors files are read lazily, per tensor.

    ``scales`` maps weights to the tensors of the source that they are multiplied by, one number for the whole weight or
    one for each output; such a weight is float32. ``__getitem__`` raises KeyError for an unknown name.
    """

    def __init__(
        self, shapes: Shapes, metadata: Metadata, source: Any, scales: Mapping[str, str] | None = None
    ) -> None:
        self.shapes = shapes
        self.metadata = metadata
        self._source = source
        self._scales = scales or {}

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.shapes:
            raise KeyError(name)
        tensor = self._stored(name)
        if name not in self._scales:
            return tensor
        scale = self._stored(self._scales[name]).float()
        return tensor.float() * scale.reshape(-1, *[1] * (tensor.ndim - 1))

    def _stored(self, name: str) -> Tensor:
        return self._source.get_tensor(name) if hasattr(self._source, "get_tensor") else self._source[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)
