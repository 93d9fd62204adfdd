"""Which ControlNet holds on to the product's lines."""

from __future__ import annotations

from django.utils.translation import gettext as _

from access.models import BusinessSource
from gpu_runner.protocol import preprocessor_catalog
from gpu_runner.protocol.generation_request import ControlUnit
from jobs.errors import UnknownModel
from jobs.models import Backend
from models_registry.errors import ModelNotFound
from models_registry.models import Family, Kind, ModelFile
from models_registry.selectors import list_for, resolve

from .fields import ChangeBackgroundFields

DEFAULT_MODEL = "control_v11p_sd15_lineart.pth"
LINEART = ("lineart", "lineart_standard")
# What a network was trained on, by the word for it in the names that people give such files; the best module first.
MODULES = {
    "lineart": LINEART,
    "canny": ("canny",),
    "softedge": ("hed",),
    "hed": ("hed",),
    "scribble": ("scribble_hed", "scribble_xdog"),
    "depth": ("depth_anything_v2", "depth_anything"),
    "tile": ("tile_resample",),
    "inpaint": ("inpaint_only",),
    "shuffle": ("shuffle",),
    "openpose": ("openpose_full",),
    "normal": ("normal_bae",),
    "mlsd": ("mlsd",),
    "seg": ("segmentation",),
}


def control_unit(
    source: BusinessSource, asked: ChangeBackgroundFields, backend: Backend
) -> tuple[ControlUnit | None, str]:
    """The unit, or none, and then a note on why not if nobody said so. Raises UnknownModel."""
    if not asked.is_controlnet:
        return None, ""
    if asked.asks_for_control:
        file = _named(source, asked.control_model or DEFAULT_MODEL, backend)
        return _unit(source, file, backend), ""
    found = _fitting_default(source, asked.sd_model_checkpoint, backend)
    if found is None:
        return None, f"without a ControlNet: there is no {DEFAULT_MODEL} for this checkpoint"
    return _unit(source, found, backend), ""


def _named(source: BusinessSource, name: str, backend: Backend) -> ModelFile:
    try:
        return resolve(Kind.CONTROLNET, name, source, on_runners=backend == Backend.COMFYUI)
    except ModelNotFound as error:
        message = _("control_model: there is no ControlNet %(name)s.") % {"name": name}
        raise UnknownModel(message, field="controls") from error


def _fitting_default(source: BusinessSource, checkpoint: str, backend: Backend) -> ModelFile | None:
    on_runners = backend == Backend.COMFYUI
    try:
        file = resolve(Kind.CONTROLNET, DEFAULT_MODEL, source, on_runners=on_runners)
        family = resolve(Kind.CHECKPOINT, checkpoint, source, on_runners=on_runners).family
    except ModelNotFound:  # an unknown checkpoint is refused at admission, in its own words
        return None
    return file if file.family in (Family.UNKNOWN, family) else None


def _unit(source: BusinessSource, file: ModelFile, backend: Backend) -> ControlUnit:
    return ControlUnit(
        model=file.name,
        module=_module(source, file, backend),
        pixel_perfect=True,
        resize_mode="fill",
        return_map=False,
    )


def _module(source: BusinessSource, file: ModelFile, backend: Backend) -> str:
    """The first whose weights are here; else the first, which is refused with the name of what is lacking."""
    name = f"{file.name} {file.path_in_kind}".lower()
    modules = next((found for word, found in MODULES.items() if word in name), LINEART)
    if backend == Backend.COMFYUI:  # its nodes bring their own weights
        return modules[0]
    return next((module for module in modules if _works(source, module)), modules[0])


def _works(source: BusinessSource, name: str) -> bool:
    module = preprocessor_catalog.MODULES[name]
    here = not module.weights or list_for(Kind.PREPROCESSOR, source).filter(name=module.weights).exists()
    return here and not module.refused
