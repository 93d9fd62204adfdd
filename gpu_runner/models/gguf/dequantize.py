"""Decodes the blocks of GGUF's tensor types, in torch.

Each function takes uint8 of shape (blocks, bytes of a block) and returns float32 of shape (blocks, numbers of a block).
The layouts are those of ggml's ``ggml-quants.c``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def dequantize(data: Tensor, type_name: str) -> Tensor:
    """Decode a whole tensor's blocks. Raises KeyError for types that are no quantization."""
    return DECODERS[type_name](data)


def _half(data: Tensor) -> Tensor:
    """float16 numbers of two bytes each, as float32."""
    return data.contiguous().view(torch.float16).float()


def _nibbles(data: Tensor) -> Tensor:
    """The lower halves of all bytes, then the upper ones."""
    return torch.cat([data & 15, data >> 4], dim=-1)


def _high_bits(data: Tensor) -> Tensor:
    """The 32 bits of four bytes as numbers 0 and 1, lowest first."""
    shifts = torch.arange(8, dtype=torch.uint8, device=data.device)
    return ((data[:, :, None] >> shifts) & 1).flatten(1)


def _q8_0(data: Tensor) -> Tensor:
    return _half(data[:, :2]) * data[:, 2:].contiguous().view(torch.int8).float()


def _q4_0(data: Tensor) -> Tensor:
    return _half(data[:, :2]) * (_nibbles(data[:, 2:]).float() - 8)


def _q4_1(data: Tensor) -> Tensor:
    return _half(data[:, :2]) * _nibbles(data[:, 4:]).float() + _half(data[:, 2:4])


def _q5_0(data: Tensor) -> Tensor:
    numbers = _nibbles(data[:, 6:]) | (_high_bits(data[:, 2:6]) << 4)
    return _half(data[:, :2]) * (numbers.float() - 16)


def _q5_1(data: Tensor) -> Tensor:
    numbers = _nibbles(data[:, 8:]) | (_high_bits(data[:, 4:8]) << 4)
    return _half(data[:, :2]) * numbers.float() + _half(data[:, 2:4])


def _shifted(data: Tensor, width: int, bits: int, count: int) -> Tensor:
    """Groups of ``width`` bytes, each read ``count`` times with its bits shifted by multiples of ``bits``."""
    shifts = torch.arange(0, bits * count, bits, dtype=torch.uint8, device=data.device).reshape(
        1, 1, count, 1
    )
    return data.reshape(len(data), -1, 1, width) >> shifts


def _scales_and_minima(data: Tensor) -> tuple[Tensor, Tensor]:
    """Eight scales and eight minima of six bits each, packed into twelve bytes."""
    low, middle, high = data.reshape(-1, 3, 4).unbind(1)
    scales = torch.cat([low & 63, (high & 15) | ((low >> 2) & 48)], dim=-1)
    minima = torch.cat([middle & 63, (high >> 4) | ((middle >> 2) & 48)], dim=-1)
    return scales.float(), minima.float()


def _with_minima(data: Tensor, numbers: Tensor) -> Tensor:
    """Q4_K and Q5_K: groups of 32 numbers, each with a scale and a minimum."""
    scales, minima = _scales_and_minima(data[:, 4:16])
    scale, minimum = _half(data[:, :2]) * scales, _half(data[:, 2:4]) * minima
    return (scale[:, :, None] * numbers.reshape(-1, 8, 32).float() - minimum[:, :, None]).flatten(1)


def _q4_k(data: Tensor) -> Tensor:
    return _with_minima(data, _shifted(data[:, 16:], 32, 4, 2) & 15)


def _q5_k(data: Tensor) -> Tensor:
    low = (_shifted(data[:, 48:], 32, 4, 2) & 15).reshape(-1, 8, 32)
    high = (_shifted(data[:, 16:48], 32, 1, 8) & 1).reshape(-1, 8, 32)
    return _with_minima(data, low | (high << 4))


def _q6_k(data: Tensor) -> Tensor:
    low = (_shifted(data[:, :128], 64, 4, 2) & 15).reshape(-1, 8, 32)
    high = (_shifted(data[:, 128:192], 32, 2, 4) & 3).reshape(-1, 8, 32)
    numbers = (low | (high << 4)).float() - 32
    scales = _half(data[:, 208:]) * data[:, 192:208].contiguous().view(torch.int8).float()
    return (scales[:, :, None] * numbers.reshape(-1, 16, 16)).flatten(1)


def _q2_k(data: Tensor) -> Tensor:
    scales, packed, halves = data[:, :16], data[:, 16:80], data[:, 80:84]
    scale = _half(halves[:, :2]) * (scales & 15).float()
    minimum = _half(halves[:, 2:]) * (scales >> 4).float()
    numbers = (_shifted(packed, 32, 2, 4) & 3).reshape(-1, 16, 16).float()
    return (scale[:, :, None] * numbers - minimum[:, :, None]).flatten(1)


def _q3_k(data: Tensor) -> Tensor:
    mask, packed, scales = data[:, :32], data[:, 32:96], data[:, 96:108]
    low = _shifted(scales[:, :8], 8, 4, 2).reshape(-1, 16) & 15
    high = _shifted(scales[:, 8:], 4, 2, 4).reshape(-1, 16) & 3
    scale = _half(data[:, 108:]) * ((low | (high << 4)).float() - 32)
    numbers = (_shifted(packed, 32, 2, 4) & 3).reshape(-1, 16, 16).float()
    # A number without its bit in the mask is lower by four.
    below = 1 - (_shifted(mask, 32, 1, 8) & 1).reshape(-1, 16, 16).float()
    return (scale[:, :, None] * (numbers - 4 * below)).flatten(1)


DECODERS: dict[str, Callable[[Tensor], Tensor]] = {
    "Q4_0": _q4_0,
    "Q4_1": _q4_1,
    "Q5_0": _q5_0,
    "Q5_1": _q5_1,
    "Q8_0": _q8_0,
    "Q2_K": _q2_k,
    "Q3_K": _q3_k,
    "Q4_K": _q4_k,
    "Q5_K": _q5_k,
    "Q6_K": _q6_k,
}
