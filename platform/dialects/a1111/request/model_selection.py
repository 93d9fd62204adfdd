"""Model settings of a request besides its checkpoint: VAE, refiner, and tiling."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from access.models import BusinessSource
from dialects.a1111.authentication import DIALECT
from dialects.a1111.errors import Unprocessable, WireError
from dialects.a1111.options.options import OVERRIDES, EffectiveOptions
from models_registry.errors import ModelNotFound, ModelUnusable
from models_registry.models import Kind
from models_registry.selectors import list_for, resolve

CHECKPOINT_VAE = (None, "", "Automatic", "None")
NO_REFINER = (None, "", "None", "none")


def model_choice(
    parameters: dict[str, Any], settings: EffectiveOptions, source: BusinessSource
) -> dict[str, Any]:
    """Fields of the canonical request. Raises WireError."""
    tiling = parameters["tiling"]
    return {
        "vae": _vae(settings, source),
        "refiner": _refiner(parameters, source),
        "tiling": settings["tiling"] if tiling is None else tiling,
    }


def _vae(settings: EffectiveOptions, source: BusinessSource) -> str:
    """Resolve the VAE. An unknown name means the checkpoint's VAE, as in the original, with a warning."""
    name = settings["sd_vae"]
    if name in CHECKPOINT_VAE:
        return ""
    try:
        return resolve(Kind.VAE, name, source, dialect=DIALECT).name
    except ModelUnusable as error:
        raise Unprocessable.unsupported((*OVERRIDES, "sd_vae"), str(error)) from error
    except ModelNotFound:
        message = _("unknown sd_vae %s; the VAE of the checkpoint is used instead") % name
        settings.fallbacks.add((*OVERRIDES, "sd_vae"), message)
        return ""


def _refiner(parameters: dict[str, Any], source: BusinessSource) -> dict[str, Any] | None:
    name = parameters["refiner_checkpoint"]
    if name in NO_REFINER:
        return None
    switch_at = parameters["refiner_switch_at"]
    return {"checkpoint": closest_checkpoint(name, source), "switch_at": switch_at or 0.0}


def closest_checkpoint(name: str, source: BusinessSource) -> str:
    """Checkpoint of this name, or else the shortest title that contains it."""
    try:
        return resolve(Kind.CHECKPOINT, name, source, dialect=DIALECT).name
    except ModelUnusable as error:
        raise WireError(422, detail=str(error)) from error
    except ModelNotFound:
        containing = [
            file for file in list_for(Kind.CHECKPOINT, source, dialect=DIALECT) if name in file.title
        ]
    if not containing:
        message = f"Could not find checkpoint with name {name}"
        raise WireError(500, error="Exception", errors=message)
    return min(containing, key=lambda file: (len(file.title), file.title)).name
