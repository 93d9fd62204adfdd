"""ControlNet fields: the model that keeps the product's lines, and its preprocessor."""

from __future__ import annotations

from django.utils.translation import gettext as _

from access.models import BusinessSource
from gpu_runner.protocol.catalogs import preprocessors as preprocessor_catalog
from gpu_runner.protocol.request_parts.control import ControlUnit
from jobs.errors import UnknownModel
from jobs.models import Backend
from models_registry.errors import ModelNotFound
from models_registry.models import Family, Kind, ModelFile
from models_registry.selectors import list_for, resolve

from .fields import ChangeBackgroundFields

DEFAULT_MODEL = "control_v11p_sd15_lineart.pth"
LINEART = ("lineart", "lineart_standard")
# Part of a model's name -> preprocessors of its control maps, the preferred one first.
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
    source: BusinessSource, body: ChangeBackgroundFields, backend: Backend
) -> tuple[ControlUnit | None, str]:
    """The control unit, or None; and a note if the default one is left out. Raises UnknownModel."""
    if not body.is_controlnet:
        return None, ""
    if body.requires_control:
        file = _find_model(source, body.control_model or DEFAULT_MODEL, backend)
        return _unit(source, file, backend), ""
    default = _default_model(source, body.sd_model_checkpoint, backend)
    if default is None:
        return None, f"without ControlNet: {DEFAULT_MODEL} is not available for this checkpoint"
    return _unit(source, default, backend), ""


def _find_model(source: BusinessSource, name: str, backend: Backend) -> ModelFile:
    try:
        return resolve(Kind.CONTROLNET, name, source, on_runners=backend == Backend.COMFYUI)
    except ModelNotFound as error:
        message = _("control_model: unknown ControlNet model %(name)s.") % {"name": name}
        raise UnknownModel(message, field="controls") from error


def _default_model(source: BusinessSource, checkpoint: str, backend: Backend) -> ModelFile | None:
    on_runners = backend == Backend.COMFYUI
    try:
        file = resolve(Kind.CONTROLNET, DEFAULT_MODEL, source, on_runners=on_runners)
        family = resolve(Kind.CHECKPOINT, checkpoint, source, on_runners=on_runners).family
    except ModelNotFound:  # an unknown checkpoint is refused at admission
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
    """The first preprocessor whose weights are registered; else the first, whose refusal names the missing file."""
    name = f"{file.name} {file.path_in_kind}".lower()
    modules = next((names for part, names in MODULES.items() if part in name), LINEART)
    if backend == Backend.COMFYUI:  # the weights come with its nodes
        return modules[0]
    return next((module for module in modules if _is_available(source, module)), modules[0])


def _is_available(source: BusinessSource, name: str) -> bool:
    module = preprocessor_catalog.MODULES[name]
    weights = list_for(Kind.PREPROCESSOR, source).filter(name=module.weights)
    return (not module.weights or weights.exists()) and not module.refused
