"""Image-to-image networks (upscalers, face restorers) built by spandrel from their files."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol.errors import ModelUnavailable


def _import_spandrel() -> ModuleType:
    """Import spandrel without requiring torchvision.

    Two architectures import torchvision, and neither is used here. During the import they get empty stubs.
    See docs/decisions/0005-spandrel.md.
    """
    names = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")
    stubs = {} if find_spec("torchvision") else {name: ModuleType(name) for name in names}
    if stubs:
        vars(stubs[names[-1]]).update(InterpolationMode=None, rotate=None, normalize=None)
    sys.modules.update(stubs)
    try:
        import spandrel
    finally:
        for name in stubs:
            del sys.modules[name]
    return spandrel


spandrel: Any = _import_spandrel()

EXCLUDED = ("LaMa", "RestoreFormer")  # need torchvision


def load_descriptor(file: TensorFile, name: str, expected: str) -> Any:
    """Build the model and return the spandrel descriptor. Raises ModelUnavailable.

    ``expected`` is the expected kind of model, used in the error message.
    """
    loader = spandrel.ModelLoader(registry=_registry())
    try:
        return loader.load_from_state_dict({name: file[name].clone() for name in file})
    except spandrel.UnsupportedModelError as error:
        raise ModelUnavailable(f"{name} is not {expected} of a supported architecture") from error
    except (AssertionError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ModelUnavailable(f"{name} is damaged or incomplete") from error


def size_of(model: Any) -> int:
    """Size of all parameters and buffers in bytes."""
    return sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())


def _registry() -> Any:
    registry = spandrel.ArchRegistry()
    registry.add(*(kind for kind in spandrel.MAIN_REGISTRY if kind.architecture.id not in EXCLUDED))
    return registry
