"""Fields of the GenerationRequest that v2 and v3 have under different names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _
from pydantic import BaseModel, ValidationError

from access.models import BusinessSource
from dialects.zhiqite.authentication import DIALECT
from dialects.zhiqite.errors import WireError
from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.catalogs import samplers as sampler_catalog
from gpu_runner.protocol.catalogs import upscalers as upscaler_catalog
from gpu_runner.protocol.prompt.extra_networks import InvalidTag, extra_networks
from gpu_runner.protocol.request_parts.values import MAX_LORAS
from jobs.admission.model_choice.defaults import ModelDefaults
from jobs.admission.submission import random_seed
from models_registry.errors import ModelNotAllowed, ModelNotFound
from models_registry.lora_tags import lora_use
from models_registry.models import Kind
from models_registry.selectors import resolve, styles_for

RESIZE_MODES = ("stretch", "crop", "fill", "latent")
CONTENTS = ("fill", "original", "noise", "nothing")
CHECKPOINTS_VAE = ("", "Automatic", "None")  # names for the VAE of the checkpoint
# The VAE of the vendor's examples: the autoencoder of SD 1.x, which checkpoints contain. Usual suffixes follow.
STOCK_VAE = "vae-ft-mse-840000-ema-pruned"
PREVIEW_EVERY = 5  # steps between previews
HIRES_STRENGTH = 0.7
SIZE_MULTIPLE = 8


def sampling(name: str, field: str) -> dict[str, str]:
    """Sampler and scheduler of a name like "DPM++ 2M Karras". Raises WireError for an unknown name."""
    sampler, scheduler = sampler_catalog.resolve(name)
    rest = name.removeprefix(sampler).strip()
    if not name.startswith(sampler) or (rest and not sampler_catalog.is_scheduler(rest)):
        raise WireError(_("%(field)s: unknown sampler %(name)s") % {"field": field, "name": name})
    return {"sampler": sampler, "scheduler": scheduler}


def open_fields(body: BaseModel, names: Mapping[str, str], defaults: ModelDefaults) -> dict[str, Any]:
    """Defaults of the checkpoint for fields that the body leaves open. ``names``: by field of the body."""
    named = {field for name, field in names.items() if name in body.model_fields_set}
    return defaults.fields(named)


def eta(sampler: str, ancestral: float | None, ddim: float | None) -> float | None:
    """The eta that applies to the sampler; None for one without eta."""
    if sampler_catalog.sampler(sampler).default_eta is None:
        return None
    return ddim if sampler.startswith("DDIM") else ancestral


def seed(requested: int) -> int:
    """The seed, or a random one for -1."""
    return random_seed() if requested == -1 else requested


def vae(name: str, source: BusinessSource) -> tuple[str, str]:
    """The VAE's name, empty for that of the checkpoint; and a note if the one of the request is left out.

    The VAE of the vendor's examples is replaced by the checkpoint's own where the registry has no such file.
    """
    if name in CHECKPOINTS_VAE:
        return "", ""
    if name.partition(".")[0].lower() == STOCK_VAE and not _is_registered(Kind.VAE, name, source):
        return "", f"{name} is not in the registry: with the VAE of the checkpoint"
    return name, ""


def _is_registered(kind: Kind, name: str, source: BusinessSource) -> bool:
    try:
        resolve(kind, name, source, dialect=DIALECT)
    except ModelNotAllowed:
        return True  # refused at admission
    except ModelNotFound:
        return False
    return True


def no_base_image(**links: str) -> None:
    """Raise WireError for the first image of txt2img: it would have no effect."""
    for field, link in links.items():
        if link:
            message = _("%(field)s must be absent: this operation has no base image")
            raise WireError(message % {"field": field})


def output_format(name: str) -> str:
    """``png``, or ``jpeg`` for any other name."""
    return "png" if name == "png" else "jpeg"


def loras(prompt: str, source: BusinessSource) -> list[dict[str, Any]]:
    """LoRAs of the tags ``<lora:sdLoraFileSimplifyName:weight>`` in a prompt.

    Raises WireError for an unknown name, unlike A1111, which ignores it.
    """
    uses = []
    tags = extra_networks(prompt)[1]
    if len(tags) > MAX_LORAS:
        raise WireError(f"prompt: Input should have at most {MAX_LORAS} LoRAs")
    for tag in tags:
        try:
            uses.append(lora_use(tag, source, dialect=DIALECT))
        except (InvalidTag, ModelNotFound) as error:
            values = {"kind": tag.kind, "name": tag.name, "reason": error}
            raise WireError(_("prompt: %(kind)s:%(name)s cannot be used: %(reason)s") % values) from None
    return uses


def with_styles(prompt: str, negative: str, names: Sequence[str], source: BusinessSource) -> tuple[str, str]:
    """Prompt and negative prompt with the named prompt styles applied. Raises WireError for an unknown name."""
    known = {style.name: style for style in styles_for(source).filter(name__in=names)} if names else {}
    for name in names:
        if name not in known:
            raise WireError(_("styles: unknown style %(name)s") % {"name": name})
        prompt, negative = known[name].apply(prompt, negative)
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
    """The hires pass. ``target`` takes precedence over ``scale``; a missing side of it follows the aspect ratio.

    Sizes are in pixels, rounded down to multiples of 8. Raises WireError for an unknown upscaler.
    """
    width, height = size
    hires_width, hires_height = target
    if hires_width or hires_height:
        hires_width, hires_height = (
            hires_width or (hires_height or 0) * width // height,
            hires_height or (hires_width or 0) * height // width,
        )
    else:
        hires_width, hires_height = int(width * scale), int(height * scale)
    return {
        "width": hires_width // SIZE_MULTIPLE * SIZE_MULTIPLE,
        "height": hires_height // SIZE_MULTIPLE * SIZE_MULTIPLE,
        "scale": None if any(target) else scale,
        "upscaler": upscaler_name(upscaler, source),
        "num_inference_steps": steps,
        "strength": HIRES_STRENGTH if strength is None else strength,
    }


def upscaler_name(name: str, source: BusinessSource) -> str:
    """The registered name of an upscaler. Raises WireError for an unknown one."""
    if not upscaler_catalog.file_of(name):
        return name
    try:
        return resolve(Kind.UPSCALER, name, source).name
    except ModelNotFound as error:
        raise WireError(str(error)) from None


def validated(fields: dict[str, Any]) -> GenerationRequest:
    """The GenerationRequest of these fields. Raises WireError if one is outside its bounds."""
    try:
        return GenerationRequest.model_validate(fields)
    except ValidationError as error:
        raise WireError.invalid(error) from None
