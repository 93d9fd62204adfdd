"""Copies of modules that share every tensor with the original, but for those that are given."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)

QUICK = {dict, set, OrderedDict}


def twin(module: M) -> M:
    """The same structure of new modules around the same tensors. To change one leaves the other as it was."""
    return cast(M, _twin(module, {}))


def with_tensors(module: M, tensors: Mapping[str, Tensor]) -> M:
    """A twin in which these parameters and buffers, by their full names, are others."""
    copied = twin(module)
    for name, tensor in tensors.items():
        path, _dot, last = name.rpartition(".")
        owner = copied.get_submodule(path)
        if last in owner._buffers:
            owner._buffers[last] = tensor
        else:
            owner._parameters[last] = nn.Parameter(tensor, requires_grad=False)
    return copied


def moved(module: M, device: torch.device) -> M:
    """A twin on another device. The original stays where it is, for whoever still uses it."""
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return with_tensors(module, {name: tensor.data.to(device, copy=True) for name, tensor in tensors.items()})


def tiling(module: M) -> M:
    """A twin whose convolutions see the opposite edge beyond each edge: its pictures can be laid side by side."""
    copied = twin(module)
    for convolution in copied.modules():
        if isinstance(convolution, nn.Conv2d):
            convolution.padding_mode = "circular"
    return copied


def size_bytes(module: nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())


def _twin(module: nn.Module, made: dict[int, nn.Module]) -> nn.Module:
    """By hand: the copy module takes fifty times as long, and a UNet has thousands of tables."""
    copied = made.get(id(module))
    if copied is None:
        copied = made[id(module)] = type(module).__new__(type(module))
        vars(copied).update(vars(module))
        for name, value in vars(module).items():
            if isinstance(value, dict | set):  # parameters, buffers, hooks: the tables are its own
                vars(copied)[name] = copy.copy(value) if type(value) not in QUICK else value.copy()
        for name, child in module._modules.items():
            copied._modules[name] = None if child is None else _twin(child, made)
    return copied
