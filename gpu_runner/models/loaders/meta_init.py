"""Builds modules on the meta device and assigns tensors from a file, skipping weight initialization."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)

# Raised when a file's shapes fit no architecture. Without RuntimeError, which includes out-of-memory errors.
BUILDING_ERRORS = (
    AssertionError,
    AttributeError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
    ZeroDivisionError,
)


def without_weights(build: Callable[[], M]) -> M:
    """Call ``build`` with the meta device as default device."""
    with torch.device("meta"):
        return build()


def with_weights(module: M, state: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype) -> M:
    """Assign copies of the tensors to the module. Raises ValueError if a shape differs.

    Copying makes the module independent of the memory-mapped file.
    """
    for name, empty in module.state_dict().items():
        if state[name].shape != empty.shape:
            raise ValueError(
                f"{name} must have the shape {tuple(empty.shape)} (got {tuple(state[name].shape)})"
            )
    weights = {name: tensor.to(device=device, dtype=dtype, copy=True) for name, tensor in state.items()}
    module.load_state_dict(weights, assign=True)
    return module.eval().requires_grad_(False)


def reason(error: Exception) -> Any:
    """Description of a building error for messages; a KeyError is a missing tensor."""
    return f"missing tensor {error.args[0]}" if isinstance(error, KeyError) and error.args else error
