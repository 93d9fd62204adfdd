"""Upscaler models from files, recognised and built by spandrel."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gpu_runner.model_files import ModelUnavailable, TensorFile

if TYPE_CHECKING:
    from collections.abc import Sequence


def _import_spandrel() -> ModuleType:
    """Two of spandrel's forty architectures need torchvision, and neither enlarges pictures. They are left out.

    While it is imported, they find a stand-in without content. See docs/decisions/0005-spandrel.md.
    """
    names = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")
    stand_ins = {} if find_spec("torchvision") else {name: ModuleType(name) for name in names}
    if stand_ins:
        vars(stand_ins[names[-1]]).update(InterpolationMode=None, rotate=None, normalize=None)
    sys.modules.update(stand_ins)
    try:
        import spandrel
    finally:
        for name in stand_ins:
            del sys.modules[name]
    return spandrel


spandrel: Any = _import_spandrel()

UNUSABLE = ("LaMa", "RestoreFormer")  # without torchvision
LARGEST_SCALE = 8


@dataclass(eq=False)
class LoadedUpscaler:
    key: str  # the file's SHA-256
    scale: int
    descriptor: Any
    size_bytes: int

    def __call__(self, pixels: Sequence[Tensor]) -> list[Tensor]:
        """From -1 to 1, as everywhere; the models know 0 to 1. All pictures are of one size."""
        batch = torch.stack([(picture + 1) / 2 for picture in pixels])
        enlarged = self.descriptor(batch.to(self.descriptor.device, self.descriptor.dtype))
        return list((enlarged.float() * 2 - 1).unbind())


def load_upscaler(
    file: TensorFile, name: str, key: str, device: torch.device, dtype: torch.dtype
) -> LoadedUpscaler:
    descriptor = _described(file, name)
    _must_enlarge_colours(descriptor, name)
    half = dtype == torch.float16 and descriptor.supports_half
    descriptor.to(device, torch.float16 if half else torch.float32).eval()
    descriptor.model.requires_grad_(False)
    size = sum(tensor.numel() * tensor.element_size() for tensor in descriptor.model.state_dict().values())
    return LoadedUpscaler(key, descriptor.scale, descriptor, size)


def _described(file: TensorFile, name: str) -> Any:
    loader = spandrel.ModelLoader(registry=_registry())
    try:
        return loader.load_from_state_dict({name: file[name].clone() for name in file})
    except spandrel.UnsupportedModelError as error:
        raise ModelUnavailable(f"{name} is not an upscaler of any kind that is known") from error
    except (AssertionError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ModelUnavailable(f"{name} cannot be used: it is damaged or incomplete") from error


def _registry() -> Any:
    registry = spandrel.ArchRegistry()
    registry.add(*(kind for kind in spandrel.MAIN_REGISTRY if kind.architecture.id not in UNUSABLE))
    return registry


def _must_enlarge_colours(descriptor: Any, name: str) -> None:
    channels = (descriptor.input_channels, descriptor.output_channels)
    if channels != (3, 3) or not 1 <= descriptor.scale <= LARGEST_SCALE:
        raise ModelUnavailable(f"{name} does not make colour pictures out of colour pictures")
    if descriptor.purpose not in ("SR", "Restoration"):
        raise ModelUnavailable(f"{name} is no upscaler: its purpose is {descriptor.purpose}")
