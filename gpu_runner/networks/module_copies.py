"""Copy-on-write copies of torch modules. Unchanged tensors and submodules are shared with the original."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


class ShallowModuleCopy(Generic[M]):
    """A shallow copy of a module. Submodules are copied only on the path to a change.

    Hook tables stay shared with the original. Hooks are registered only during a call on the engine thread; a
    table copied by another thread in the meantime would keep such a hook forever.
    """

    def __init__(self, module: M) -> None:
        self.module = _copied(module)
        self._own: set[int] = {id(self.module)}

    def at(self, path: str) -> nn.Module:
        """Return the copy's own submodule at the dotted ``path``, safe to modify.

        Assumes that no module is registered under two names.
        """
        module: nn.Module = self.module
        for name in path.split(".") if path else ():
            child = module._modules[name]
            assert child is not None
            if id(child) not in self._own:
                child = module._modules[name] = _copied(child)
                self._own.add(id(child))
            module = child
        return module


def submodule(module: nn.Module, path: str) -> nn.Module:
    """Like ``Module.get_submodule``, about ten times faster. Raises KeyError if the path does not exist."""
    for name in path.split(".") if path else ():
        child = module._modules[name]
        assert child is not None
        module = child
    return module


def with_tensors(module: M, tensors: Mapping[str, Tensor]) -> M:
    """Return a copy with the given parameters and buffers (by full name) replaced."""
    clone = ShallowModuleCopy(module)
    for name, tensor in tensors.items():
        path, _dot, last = name.rpartition(".")
        owner = clone.at(path)
        if last in owner._buffers:
            owner._buffers[last] = tensor
        else:
            owner._parameters[last] = nn.Parameter(tensor, requires_grad=False)
    return clone.module


def moved(module: M, device: torch.device) -> M:
    """Return a copy on another device. The original is unchanged, as other jobs may still use it."""
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return with_tensors(module, {name: tensor.data.to(device, copy=True) for name, tensor in tensors.items()})


def tiling(module: M) -> M:
    """Return a copy with circular padding in its convolutions, for seamlessly tileable images."""
    clone = ShallowModuleCopy(module)
    for name, child in module.named_modules():
        if isinstance(child, nn.Conv2d):
            own = clone.at(name)
            assert isinstance(own, nn.Conv2d)
            own.padding_mode = "circular"
    return clone.module


def size_bytes(module: nn.Module) -> int:
    """Size of all parameters and persistent buffers in bytes."""
    return sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())


def _copied(module: M) -> M:
    """Shallow copy of one module with the same children. About 50 times faster than copy.copy."""
    copied = type(module).__new__(type(module))
    vars(copied).update(vars(module))
    for table in ("_parameters", "_buffers", "_modules"):
        vars(copied)[table] = vars(module)[table].copy()
    return copied
