"""Writes GGUF files: Q8_0 for matrices whose rows consist of whole blocks, F16 or F32 for the rest."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

F32, F16, Q8_0 = 0, 1, 8
BLOCK, ALIGNMENT = 32, 32


def write_gguf(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None) -> Path:
    """``metadata`` may have texts, and tuples of integers."""
    entries, infos, data = b"", b"", b""
    for key, value in (metadata or {}).items():
        entries += _text(key) + _value(value)
    for name, tensor in tensors.items():
        kind, content = _content(tensor)
        data += b"\0" * (-len(data) % ALIGNMENT)
        dimensions = list(reversed(tensor.shape))
        infos += _text(name) + struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
        infos += struct.pack("<IQ", kind, len(data))
        data += content
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata or {})) + entries + infos
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + b"\0" * (-len(header) % ALIGNMENT) + data)
    return path


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _value(value: Any) -> bytes:
    if isinstance(value, tuple):
        return struct.pack(f"<IIQ{len(value)}i", 9, 5, len(value), *value)
    return struct.pack("<I", 8) + _text(value)


def _content(tensor: Tensor) -> tuple[int, bytes]:
    if tensor.ndim == 2 and tensor.shape[1] % BLOCK == 0:
        return Q8_0, _blocks(tensor.float())
    kind, dtype = (F32, torch.float32) if tensor.ndim < 2 else (F16, torch.float16)
    return kind, tensor.to(dtype).contiguous().numpy().tobytes()


def _blocks(tensor: Tensor) -> bytes:
    rows = tensor.reshape(-1, BLOCK)
    scale = (rows.abs().amax(dim=1, keepdim=True) / 127).half()
    numbers = (rows / scale.float().clamp(min=1e-12)).round().clamp(-127, 127).to(torch.int8)
    return torch.cat([scale.view(torch.uint8), numbers.view(torch.uint8)], dim=1).numpy().tobytes()
