"""Hires fix parameters of A1111: by scale factor, or by size with one side optional."""

from __future__ import annotations

from typing import Any

from access.models import BusinessSource
from dialects.a1111.authentication import DIALECT
from dialects.a1111.errors import WireError
from dialects.a1111.options.options import EffectiveOptions
from gpu_runner.protocol.catalogs import samplers as sampler_catalog
from gpu_runner.protocol.catalogs import upscalers as upscaler_catalog
from models_registry.errors import ModelNotFound
from models_registry.models import Kind
from models_registry.selectors import resolve

from .model_selection import closest_checkpoint
from .prompts import Prompts
from .sampling import eta

MULTIPLE = 8
SAME_CHECKPOINT, SAME_SAMPLER, SAME_SCHEDULER = (
    "Use same checkpoint",
    "Use same sampler",
    "Use same scheduler",
)


def hires(
    parameters: dict[str, Any], settings: EffectiveOptions, source: BusinessSource, width: int, height: int
) -> dict[str, Any] | None:
    """Hires part of the canonical request; None if disabled. Raises WireError."""
    if not parameters.get("enable_hr"):
        return None
    if parameters["denoising_strength"] is None:  # the original fails with this TypeError
        message = "'>' not supported between instances of 'NoneType' and 'int'"
        raise WireError(500, error="TypeError", errors=message)
    target_width, target_height = target(parameters, width, height)
    return {
        "width": target_width,
        "height": target_height,
        "scale": None if _is_by_size(parameters) else _scale(parameters),
        "upscaler": _upscaler(parameters["hr_upscaler"], source),
        "num_inference_steps": parameters["hr_second_pass_steps"] or 0,
        "strength": parameters["denoising_strength"],
        "checkpoint": _checkpoint(parameters["hr_checkpoint_name"], source),
        **_sampler(parameters, settings),
        **_prompts(parameters, settings, source),
    }


def target(parameters: dict[str, Any], width: int, height: int) -> tuple[int, int]:
    """Width and height of the hires pass in pixels, multiples of 8.

    As in the original, a size of both sides is covered with the first pass's aspect ratio, and the excess is cut off in
    latent pixels: 100 x 95 becomes 96 x 96.
    """
    resize_x, resize_y = parameters["hr_resize_x"] or 0, parameters["hr_resize_y"] or 0
    if not resize_x and not resize_y:
        scale = _scale(parameters)
        return _latent_side(int(width * scale)), _latent_side(int(height * scale))
    by_width = resize_x, resize_x * height // max(1, width)
    by_height = resize_y * width // max(1, height), resize_y
    covering = by_width if resize_x * height > resize_y * width else by_height
    cut = (covering[0] - (resize_x or covering[0])), (covering[1] - (resize_y or covering[1]))
    return (
        _latent_side(covering[0]) - _latent_side(cut[0]),
        _latent_side(covering[1]) - _latent_side(cut[1]),
    )


def _latent_side(pixels: int) -> int:
    return pixels // MULTIPLE * MULTIPLE


def _is_by_size(parameters: dict[str, Any]) -> bool:
    return bool(parameters["hr_resize_x"] or parameters["hr_resize_y"])


def _scale(parameters: dict[str, Any]) -> float:
    return 2.0 if parameters["hr_scale"] is None else parameters["hr_scale"]


def _upscaler(name: str | None, source: BusinessSource) -> str:
    if name is None:
        return upscaler_catalog.LATENT_MODES[0].name
    if name and not upscaler_catalog.file_of(name):
        return name
    try:
        return resolve(Kind.UPSCALER, name or "\0", source, dialect=DIALECT).name
    except ModelNotFound:
        raise WireError(500, error="Exception", errors=f"could not find upscaler named {name}") from None


def _checkpoint(name: str | None, source: BusinessSource) -> str:
    if not name or name == SAME_CHECKPOINT:
        return ""
    return closest_checkpoint(name, source)


def _sampler(parameters: dict[str, Any], settings: EffectiveOptions) -> dict[str, Any]:
    name, scheduler = parameters["hr_sampler_name"], parameters["hr_scheduler"]
    name = "" if name in (None, SAME_SAMPLER) else name
    scheduler = "" if scheduler in (None, SAME_SCHEDULER) else scheduler
    if not name and not scheduler:
        return {}
    first = parameters["sampler_name"] or parameters["sampler_index"]
    sampler, label = sampler_catalog.resolve(name or first, scheduler or parameters["scheduler"] or "")
    return {"sampler": sampler, "scheduler": label, "eta": eta(sampler, parameters["eta"], settings)}


def _prompts(
    parameters: dict[str, Any], settings: EffectiveOptions, source: BusinessSource
) -> dict[str, Any]:
    """Prompts of the hires pass. Empty prompts are omitted, so that those of the first pass apply."""
    prompts = Prompts(parameters, settings, source)
    fields: dict[str, Any] = {}
    if parameters["hr_prompt"]:
        fields["prompt"] = prompts.positive(parameters["hr_prompt"])
        fields["loras"] = prompts.loras(fields["prompt"])
    if parameters["hr_negative_prompt"]:
        fields["negative_prompt"] = prompts.negative(parameters["hr_negative_prompt"])
    return fields
