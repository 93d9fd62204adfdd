"""The second pass as A1111's clients ask for it: by a factor, or by a size of which one side may be left open."""

from __future__ import annotations

from typing import Any

from access.models import BusinessSource
from dialects.a1111.errors import WireError
from dialects.a1111.options.options import EffectiveOptions
from gpu_runner.protocol import sampler_catalog, upscaler_catalog
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
    """The part of the canonical request; None without one. Raises WireError."""
    if not parameters.get("enable_hr"):
        return None
    if parameters["denoising_strength"] is None:  # as the original stumbles over it
        message = "'>' not supported between instances of 'NoneType' and 'int'"
        raise WireError(500, error="TypeError", errors=message)
    across, down = target(parameters, width, height)
    return {
        "width": across // MULTIPLE * MULTIPLE,
        "height": down // MULTIPLE * MULTIPLE,
        "scale": None if _is_by_size(parameters) else _scale(parameters),
        "upscaler": _upscaler(parameters["hr_upscaler"], source),
        "num_inference_steps": parameters["hr_second_pass_steps"] or 0,
        "strength": parameters["denoising_strength"],
        "checkpoint": _checkpoint(parameters["hr_checkpoint_name"], source),
        **_sampler(parameters, settings),
        **_words(parameters, settings, source),
    }


def target(parameters: dict[str, Any], width: int, height: int) -> tuple[int, int]:
    across, down = parameters["hr_resize_x"] or 0, parameters["hr_resize_y"] or 0
    if not across and not down:
        scale = _scale(parameters)
        return int(width * scale), int(height * scale)
    return across or (down * width // max(1, height)), down or (across * height // max(1, width))


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
        return resolve(Kind.UPSCALER, name or "\0", source).name
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


def _words(parameters: dict[str, Any], settings: EffectiveOptions, source: BusinessSource) -> dict[str, Any]:
    """Only those that differ: what is left empty is the first pass's."""
    writer = Prompts(parameters, settings, source)
    words: dict[str, Any] = {}
    if parameters["hr_prompt"]:
        words["prompt"] = writer.positive(parameters["hr_prompt"])
        words["loras"] = writer.loras(words["prompt"])
    if parameters["hr_negative_prompt"]:
        words["negative_prompt"] = writer.negative(parameters["hr_negative_prompt"])
    return words
