"""Modules from a file's tensors: built without weights, so that nothing is initialised in vain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)

# What goes wrong when a file's shapes fit no architecture. Not RuntimeError: too little memory is one.
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
    with torch.device("meta"):
        return build()


def with_weights(module: M, state: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype) -> M:
    """Copies, so that neither a file changed on disk nor its handle has a say in what is drawn."""
    for name, empty in module.state_dict().items():
        if state[name].shape != empty.shape:
            raise ValueError(f"{name} is {tuple(state[name].shape)}, not {tuple(empty.shape)}")
    weights = {name: tensor.to(device=device, dtype=dtype, copy=True) for name, tensor in state.items()}
    module.load_state_dict(weights, assign=True)
    return module.eval().requires_grad_(False)


def reason(error: Exception) -> Any:
    return f"it lacks the tensor {error.args[0]}" if isinstance(error, KeyError) and error.args else error
