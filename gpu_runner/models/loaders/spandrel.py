"""Networks that make pictures of pictures, from files that spandrel recognises and builds."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from gpu_runner.networks.tensor_file import TensorFile
from gpu_runner.protocol.errors import ModelUnavailable


def _import_spandrel() -> ModuleType:
    """Two of spandrel's forty architectures need torchvision, and neither is wanted. They are left out.

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


def described(file: TensorFile, name: str, wanted: str) -> Any:
    """spandrel's descriptor. Raises ModelUnavailable; ``wanted`` is what the file was hoped to be."""
    loader = spandrel.ModelLoader(registry=_registry())
    try:
        return loader.load_from_state_dict({name: file[name].clone() for name in file})
    except spandrel.UnsupportedModelError as error:
        raise ModelUnavailable(f"{name} is not {wanted} of any kind that is known") from error
    except (AssertionError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ModelUnavailable(f"{name} cannot be used: it is damaged or incomplete") from error


def size_of(model: Any) -> int:
    """Bytes."""
    return sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())


def _registry() -> Any:
    registry = spandrel.ArchRegistry()
    registry.add(*(kind for kind in spandrel.MAIN_REGISTRY if kind.architecture.id not in UNUSABLE))
    return registry
