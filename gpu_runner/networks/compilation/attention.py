"""Choice of torch's implementation of attention: cuDNN, FlashAttention, or the one that torch prefers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

# In this order; the others are for calls that the first cannot do (FlashAttention takes no masks).
OTHERS = (SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH)
BACKENDS: dict[str, tuple[SDPBackend, ...]] = {
    "native": (),
    "flash": (SDPBackend.FLASH_ATTENTION, *OTHERS),
    "cudnn": (SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, *OTHERS),
}


def problem(name: str, device: torch.device) -> str:
    """Why the implementation cannot be used on this device; empty if it can."""
    if name not in BACKENDS:
        return f"ATTENTION_BACKEND must be one of {', '.join(BACKENDS)} (got {name[:40]!r})"
    if name == "cudnn" and device.type != "cuda":
        return f"ATTENTION_BACKEND=cudnn needs a GPU (device {device}); allowed are native and flash"
    return ""


@contextmanager
def attention_backend(name: str) -> Iterator[None]:
    """Use this implementation first. The setting belongs to the process."""
    if not BACKENDS[name]:
        yield
        return
    with sdpa_kernel(list(BACKENDS[name]), set_priority=True):
        yield
