"""Parts of the canonical request that v2 and v3 say in different words, and mean alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _
from pydantic import ValidationError

from access.models import BusinessSource
from dialects.zhiqite.errors import WireError
from gpu_runner.protocol import GenerationRequest, sampler_catalog, upscaler_catalog
from gpu_runner.protocol.generation_request import MOST_LORAS
from gpu_runner.protocol.prompt.extra_networks import BadTag, extra_networks
from jobs.admission.submission import random_seed
from models_registry.errors import ModelNotFound
from models_registry.lora_tags import lora_use
from models_registry.models import Kind
from models_registry.selectors import resolve, styles_for

RESIZE_MODES = ("stretch", "crop", "fill", "latent")
CONTENTS = ("fill", "original", "noise", "nothing")
OWN_VAE = ("", "Automatic", "None")
PREVIEW_EVERY = 5  # steps between the intermediate pictures that clients are shown
HIRES_STRENGTH = 0.7
MULTIPLE = 8


def sampling(name: str, field: str) -> dict[str, str]:
    """Clients of this vendor are told of a name that is unknown."""
    sampler, scheduler = sampler_catalog.resolve(name)
    rest = name.removeprefix(sampler).strip()
    if not name.startswith(sampler) or (rest and not sampler_catalog.is_scheduler(rest)):
        raise WireError(_("%(field)s: there is no sampler %(name)s") % {"field": field, "name": name})
    return {"sampler": sampler, "scheduler": scheduler}


def eta(sampler: str, ancestral: float | None, ddim: float | None) -> float | None:
    if sampler_catalog.sampler(sampler).default_eta is None:  # it means nothing to this one
        return None
    return ddim if sampler.startswith("DDIM") else ancestral


def seed(asked: int) -> int:
    return random_seed() if asked == -1 else asked


def vae(name: str) -> str:
    return "" if name in OWN_VAE else name


def output_format(name: str) -> str:
    return "png" if name == "png" else "jpeg"


def loras(prompt: str, source: BusinessSource) -> list[dict[str, Any]]:
    """What ``<lora:sdLoraFileSimplifyName:weight>`` names. Unlike A1111's, these clients are told of a name that is unknown."""
    found = []
    tags = extra_networks(prompt)[1]
    if len(tags) > MOST_LORAS:
        raise WireError(f"prompt: Input should have at most {MOST_LORAS} LoRAs")
    for tag in tags:
        try:
            found.append(lora_use(tag, source))
        except (BadTag, ModelNotFound) as error:
            words = {"kind": tag.kind, "name": tag.name, "reason": error}
            raise WireError(_("prompt: %(kind)s:%(name)s cannot be used: %(reason)s") % words) from None
    return found


def styled(prompt: str, negative: str, names: Sequence[str], source: BusinessSource) -> tuple[str, str]:
    """With the words of the named styles. Raises WireError for a name that is unknown."""
    known = {style.name: style for style in styles_for(source).filter(name__in=names)} if names else {}
    for name in names:
        if name not in known:
            raise WireError(_("styles: there is no %(name)s") % {"name": name})
        prompt, negative = known[name].applied(prompt, negative)
    return prompt, negative


def hires(
    size: tuple[int, int],
    target: tuple[int | None, int | None],
    scale: float,
    upscaler: str,
    steps: int,
    strength: float | None,
    source: BusinessSource,
) -> dict[str, Any]:
    """A size that is given beats the factor; of its sides one may be left open."""
    width, height = size
    across, down = target
    if across or down:
        across, down = across or (down or 0) * width // height, down or (across or 0) * height // width
    else:
        across, down = int(width * scale), int(height * scale)
    return {
        "width": across // MULTIPLE * MULTIPLE,
        "height": down // MULTIPLE * MULTIPLE,
        "scale": None if any(target) else scale,
        "upscaler": upscaler_name(upscaler, source),
        "num_inference_steps": steps,
        "strength": HIRES_STRENGTH if strength is None else strength,
    }


def upscaler_name(name: str, source: BusinessSource) -> str:
    """Raises WireError."""
    if not upscaler_catalog.file_of(name):
        return name
    try:
        return resolve(Kind.UPSCALER, name, source).name
    except ModelNotFound as error:
        raise WireError(str(error)) from None


def canonical(wanted: dict[str, Any]) -> GenerationRequest:
    """Raises WireError for what the fields' own bounds have let pass."""
    try:
        return GenerationRequest.model_validate(wanted)
    except ValidationError as error:
        raise WireError.invalid(error) from None
