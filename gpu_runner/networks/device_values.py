"""Numbers that the host sends to the device without waiting for it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def on_device(values: Sequence[object], device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """A tensor of the values. From pageable memory, ``torch.tensor(…, device="cuda")`` waits for the whole queue."""
    tensor = torch.tensor(values, dtype=dtype)
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
