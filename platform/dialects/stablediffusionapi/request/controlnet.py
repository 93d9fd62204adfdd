"""v5's ControlNets: types to preprocessors, names to model files."""

from __future__ import annotations

from typing import Any

from access.models import BusinessSource
from dialects.stablediffusionapi.errors import WireError
from gpu_runner.protocol import Picture, preprocessor_catalog
from gpu_runner.protocol.generation_request import ControlUnit
from models_registry.selectors import control_model

from .fields import not_offered, required

NO_MODULE = "none"
IS_A_MAP = "qrcode"

# Type -> preprocessor, and what the names of its models contain.
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


def controls(
    values: dict[str, Any], source: BusinessSource, picture: Picture, mask: Picture | None
) -> list[ControlUnit]:
    """One for each type, all of the same picture. Raises WireError."""
    asked = _asked(values)
    modules = [_module(kind, auto_hint=values["auto_hint"] is not False) for _name, kind, _weight in asked]
    return [
        ControlUnit(
            model=_model(model, kind, source),
            module=module,
            image=picture,
            mask=mask if kind == "inpaint" else None,
            weight=weight,
            control_mode="control" if values["guess_mode"] else "balanced",
            resize_mode="stretch",
            return_map=False,
        )
        for (model, kind, weight), module in zip(asked, modules, strict=True)
    ]


def _asked(values: dict[str, Any]) -> list[tuple[str, str, float]]:
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
    """The type that a model's name tells; otherwise its picture is a map already."""
    return next((kind for kind, (_module, word) in TYPES.items() if word in model.lower()), IS_A_MAP)


def _module(kind: str, *, auto_hint: bool) -> str:
    if kind not in TYPES:
        raise WireError.invalid({"controlnet_type": ["The selected controlnet type is invalid."]})
    name = TYPES[kind][0]
    if not auto_hint and kind != "inpaint":
        return NO_MODULE
    if why := preprocessor_catalog.MODULES[name].refused:
        raise not_offered("controlnet_type", f"{kind}: {why}")
    return name


def _model(name: str, kind: str, source: BusinessSource) -> str:
    """By its name, or by what the names of the models of a type contain: clients send "canny" for both."""
    wanted = [name] if name else []
    if not name or name in TYPES:
        wanted.append(TYPES[name or kind][1])
    for word in wanted:
        if found := control_model(word, source):
            return found.name
    raise WireError.invalid({"controlnet_model": [f"Model not found: {name or kind}"]})
