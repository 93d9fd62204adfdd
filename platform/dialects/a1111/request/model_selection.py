"""The models of a request beside its checkpoint: VAE and refiner, and tiling, which changes both."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from access.models import BusinessSource
from dialects.a1111.errors import WireError
from dialects.a1111.options.options import OVERRIDES, EffectiveOptions
from models_registry.errors import ModelNotFound
from models_registry.models import Kind
from models_registry.selectors import list_for, resolve

OWN_VAE = (None, "", "Automatic", "None")
NO_REFINER = (None, "", "None", "none")


def model_choice(
    parameters: dict[str, Any], settings: EffectiveOptions, source: BusinessSource
) -> dict[str, Any]:
    """The fields of the canonical request. Raises WireError."""
    tiling = parameters["tiling"]
    return {
        "vae": _vae(settings, source),
        "refiner": _refiner(parameters, source),
        "tiling": settings["tiling"] if tiling is None else tiling,
    }


def _vae(settings: EffectiveOptions, source: BusinessSource) -> str:
    """The original draws with the checkpoint's own VAE when it does not find another; here a warning says so."""
    name = settings["sd_vae"]
    if name in OWN_VAE:
        return ""
    try:
        return resolve(Kind.VAE, name, source).name
    except ModelNotFound:
        message = _("sd_vae is unknown, and the checkpoint's own VAE is used: %s") % name
        settings.fallbacks.add((*OVERRIDES, "sd_vae"), message)
        return ""


def _refiner(parameters: dict[str, Any], source: BusinessSource) -> dict[str, Any] | None:
    name = parameters["refiner_checkpoint"]
    if name in NO_REFINER:
        return None
    switch_at = parameters["refiner_switch_at"]
    return {"checkpoint": closest_checkpoint(name, source), "switch_at": switch_at or 0.0}


def closest_checkpoint(name: str, source: BusinessSource) -> str:
    """One that bears the name, or the one with the shortest title of those that contain it."""
    try:
        return resolve(Kind.CHECKPOINT, name, source).name
    except ModelNotFound:
        containing = [file for file in list_for(Kind.CHECKPOINT, source) if name in file.title]
    if not containing:
        message = f"Could not find checkpoint with name {name}"
        raise WireError(500, error="Exception", errors=message)
    return min(containing, key=lambda file: (len(file.title), file.title)).name
