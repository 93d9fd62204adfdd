"""Tensors of a GGUF file, decoded when they are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

import torch
from torch import Tensor

from gpu_runner.protocol.model_detection.storage.gguf_header import GgufTensor

from .dequantize import dequantize

PLAIN = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


class GgufSource:
    """Reads one tensor at a time. Quantized weights become float32."""

    def __init__(self, stream: BinaryIO, tensors: Mapping[str, GgufTensor]) -> None:
        self._stream = stream
        self._tensors = tensors

    def get_tensor(self, name: str) -> Tensor:
        """Raises KeyError, and OSError if the file has become shorter."""
        tensor = self._tensors[name]
        self._stream.seek(tensor.start)
        data = bytearray(self._stream.read(tensor.size))
        if len(data) != tensor.size:
            raise OSError(f"the file ends inside of {name}")
        kind = tensor.type
        if not data:
            return torch.empty(tensor.shape)
        if kind.name in PLAIN:
            return torch.frombuffer(data, dtype=PLAIN[kind.name]).reshape(tensor.shape)
        blocks = torch.frombuffer(data, dtype=torch.uint8).reshape(-1, kind.size)
        return dequantize(blocks, kind.name).reshape(tensor.shape)
