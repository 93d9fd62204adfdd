"""ControlNet fields of v5: types to preprocessors, names to model files."""

from __future__ import annotations

from typing import Any

from access.models import BusinessSource
from dialects.stablediffusionapi.authentication import DIALECT
from dialects.stablediffusionapi.errors import WireError
from gpu_runner.protocol import InputImage
from gpu_runner.protocol.catalogs import preprocessors as preprocessor_catalog
from gpu_runner.protocol.request_parts.control import ControlType, ControlUnit
from models_registry.selectors import control_model, control_model_problem

from .fields import not_supported, required

NO_MODULE = "none"
TYPE_WITHOUT_PREPROCESSOR = "qrcode"

# Type -> preprocessor, and a part of the names of its models.
TYPES: dict[str, tuple[str, str]] = {
    "canny": ("canny", "canny"),
    "depth": ("depth_anything_v2", "depth"),
    "hed": ("hed", "hed"),
    "mlsd": ("mlsd", "mlsd"),
    "normal": ("normal_bae", "normal"),
    "openpose": ("openpose_full", "openpose"),
    "scribble": ("scribble_xdog", "scribble"),
    "segmentation": ("segmentation", "seg"),
    "inpaint": ("inpaint_only", "inpaint"),
    "softedge": ("hed", "softedge"),
    "lineart": ("lineart", "lineart"),
    "shuffle": ("shuffle", "shuffle"),
    "tile": ("tile_resample", "tile"),
    "face_detector": ("mediapipe_face", "face"),
    "qrcode": (NO_MODULE, "qr"),
    "aesthetic-controlnet": (NO_MODULE, "aesthetic"),
    "pose": ("openpose_full", "openpose"),
    "blur": ("blur_gaussian", "blur"),
    "gray": ("recolor_luminance", "gray"),
    "low_quality": ("tile_resample", "tile"),
}

# What a map of the type is for a union ControlNet, which an image without a preprocessor does not tell.
CONTROL_TYPES: dict[str, ControlType] = {
    **dict.fromkeys(("canny", "hed", "mlsd", "scribble", "softedge", "lineart"), "canny"),
    **dict.fromkeys(("openpose", "pose"), "pose"),
    "tile": "tile",
    "depth": "depth",
    "blur": "blur",
    "gray": "gray",
    "low_quality": "low_quality",
}


def controls(
    values: dict[str, Any], source: BusinessSource, image: InputImage, mask: InputImage | None
) -> list[ControlUnit]:
    """One control unit for each type, all with the same image. Raises WireError."""
    units = _units(values)
    modules = [_module(kind, auto_hint=values["auto_hint"] is not False) for _name, kind, _weight in units]
    return [
        ControlUnit(
            model=_model(model, kind, source),
            module=module,
            image=image,
            mask=mask if kind == "inpaint" else None,
            weight=weight,
            control_mode="control" if values["guess_mode"] else "balanced",
            resize_mode="stretch",
            return_map=False,
            control_type=CONTROL_TYPES.get(kind, ""),
        )
        for (model, kind, weight), module in zip(units, modules, strict=True)
    ]


def _units(values: dict[str, Any]) -> list[tuple[str, str, float]]:
    """Model, type and weight of each unit."""
    models, kinds = values["controlnet_model"] or [], values["controlnet_type"] or []
    if not models and not kinds:
        raise WireError.invalid({"controlnet_model": [required("controlnet_model")]})
    kinds = [kind.lower() for kind in kinds] or [_kind_of(model) for model in models]
    models = models or [""] * len(kinds)
    weights = values["controlnet_conditioning_scale"] or [1.0]
    weights = weights * len(models) if len(weights) == 1 else weights
    for name, given in (("controlnet_type", kinds), ("controlnet_conditioning_scale", weights)):
        if len(given) != len(models):
            message = f"The {name.replace('_', ' ')} must have one item for each controlnet model."
            raise WireError.invalid({name: [message]})
    return list(zip(models, kinds, weights, strict=True))


def _kind_of(model: str) -> str:
    """The type that a model's name contains; otherwise one without a preprocessor, for an image that is a map already."""
    return next(
        (kind for kind, (_module, part) in TYPES.items() if part in model.lower()), TYPE_WITHOUT_PREPROCESSOR
    )


def _module(kind: str, *, auto_hint: bool) -> str:
    if kind not in TYPES:
        raise WireError.invalid({"controlnet_type": ["The selected controlnet type is invalid."]})
    name = TYPES[kind][0]
    if not auto_hint and kind != "inpaint":
        return NO_MODULE
    if reason := preprocessor_catalog.MODULES[name].refused:
        raise not_supported("controlnet_type", f"{kind}: {reason}")
    return name


def _model(name: str, kind: str, source: BusinessSource) -> str:
    """The file of a model's name or, because clients send "canny" for both, of a type. Raises WireError."""
    names = [name] if name else []
    if not name or name in TYPES:
        names.append(TYPES[name or kind][1])
    for candidate in names:
        if file := control_model(candidate, source, dialect=DIALECT):
            return file.name
    problems = filter(None, (control_model_problem(candidate, source) for candidate in names))
    raise WireError.invalid({"controlnet_model": [next(problems, f"Model not found: {name or kind}")]})
