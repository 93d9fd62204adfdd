"""ControlNet models and modules, listed in full and by control type."""

from __future__ import annotations

from typing import Any

from access.models import AccessKey
from dialects.a1111.authentication import DIALECT
from gpu_runner.protocol.catalogs.preprocessors import MODULES, Module
from models_registry.models import Kind
from models_registry.selectors import list_for

NO_MODEL = "None"
ALL = "All"
# Control type to the substrings of model names that also select it, besides the type's own name.
TYPES: dict[str, tuple[str, ...]] = {
    ALL: (),
    "Canny": (),
    "Depth": (),
    "IP-Adapter": ("ip_adapter", "ipadapter"),
    "Inpaint": (),
    "Instant-ID": ("instant_id", "instantid"),
    "InstructP2P": ("ip2p",),
    "Lineart": (),
    "MLSD": (),
    "NormalMap": ("normal",),
    "OpenPose": ("densepose",),
    "Recolor": (),
    "Reference": (),
    "Revision": (),
    "Scribble": ("sketch",),
    "Segmentation": ("seg",),
    "Shuffle": (),
    "SoftEdge": (),
    "SparseCtrl": (),
    "T2I-Adapter": ("t2i_adapter", "t2iadapter", "t2ia"),
    "Tile": ("blur",),
}


def model_titles(key: AccessKey) -> list[str]:
    return [file.control_title for file in list_for(Kind.CONTROLNET, key.source, dialect=DIALECT)]


def module_list(*, labels: bool) -> dict[str, Any]:
    """Return all modules and their details, both by label or both by name."""
    detail = {
        module.title if labels else module.name: {
            "model_free": module.model_free,
            "sliders": _sliders(module),
        }
        for module in MODULES.values()
    }
    return {"module_list": list(detail), "module_detail": detail}


def _sliders(module: Module) -> list[dict[str, Any]]:
    return [
        {
            "name": slider.name,
            "value": slider.value,
            "min": slider.minimum,
            "max": slider.maximum,
            "step": slider.step,
        }
        for slider in module.all_sliders
    ]


def control_types(key: AccessKey) -> dict[str, Any]:
    titles = model_titles(key)
    return {"control_types": {name: _type(name, titles) for name in TYPES}}


def _type(name: str, titles: list[str]) -> dict[str, Any]:
    modules = [module for module in MODULES.values() if name in (ALL, *module.types) or module.name == "none"]
    models = titles if name == ALL else [title for title in titles if _matches(title, name)]
    return {
        "module_list": [module.title for module in modules],
        "model_list": [NO_MODEL, *models],
        "default_option": _default_module(name, modules).title,
        "default_model": _default_model(name, models),
    }


def _matches(title: str, name: str) -> bool:
    return any(part in title.lower() for part in (name.lower(), *TYPES[name]))


def _default_module(name: str, modules: list[Module]) -> Module:
    """Return the supported module with the highest priority, or "none"."""
    if name == ALL:
        return MODULES["none"]
    supported = [module for module in modules if not module.refused]
    return max(supported, key=lambda module: module.priority if module.name != "none" else -1)


def _default_model(name: str, models: list[str]) -> str:
    if name == ALL or not models:
        return NO_MODEL
    return next((title for title in models if "11" in title), models[0])
