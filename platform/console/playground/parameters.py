"""Generation parameters of an image file as values of the playground's form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from access.models import BusinessSource
from gpu_runner.protocol.catalogs import samplers as sampler_catalog
from gpu_runner.protocol.prompt.extra_networks import extra_networks
from jobs.admission.model_choice.defaults import defaults_of
from jobs.errors import InvalidImage
from jobs.images.infotext.parser import parse_infotext
from jobs.images.infotext.reader import read_metadata
from models_registry.errors import ModelNotFound
from models_registry.models import Kind
from models_registry.selectors import resolve

from .sources import named_source

SOURCE_HEADER = "X-Atelier-Source"
MAX_EXACT = 2**53 - 1  # JavaScript's integers
Pairs = dict[str, str]


@dataclass
class Found:
    """Values for the fields of the form, LoRAs with their weights, and the labels of the infotext that are not used."""

    fields: dict[str, Any] = field(default_factory=dict)
    loras: list[tuple[str, float]] = field(default_factory=list)
    not_used: list[str] = field(default_factory=list)


@require_POST
def parameters(request: HttpRequest) -> JsonResponse:
    """Parameters of the image in the body."""
    source = named_source(request, request.headers.get(SOURCE_HEADER, ""))
    try:
        infotext, _items = read_metadata(request.body)
    except InvalidImage as error:
        return JsonResponse({"detail": error.message}, status=422)
    except RequestDataTooBig:
        return JsonResponse({"detail": _("The request body is too large.")}, status=413)
    pairs = parse_infotext(infotext)
    found = form_values(pairs, source)
    answer = {"fields": found.fields, "loras": found.loras, "not_used": found.not_used}
    return JsonResponse({"infotext": infotext, "is_txt2img": is_txt2img(pairs), **answer})


def is_txt2img(pairs: Pairs) -> bool:
    return "Denoising strength" not in pairs or _has_hires(pairs)


def form_values(pairs: Pairs, source: BusinessSource) -> Found:
    found = Found({"prompt": pairs["Prompt"], "negative_prompt": pairs["Negative prompt"]})
    numbers = NUMBERS | (HIRES if _has_hires(pairs) else {"Denoising strength": ("strength", float)})
    used = {"Prompt", "Negative prompt"}
    for label, (name, read) in numbers.items():
        if label in pairs and _read(found, name, read, pairs[label]):
            used.add(label)
    if _has_hires(pairs):
        found.fields |= {"hires": True, "hires_upscaler": pairs.get("Hires upscaler", "Latent")}
        used |= {"Hires upscaler"}
    used |= _read_sampler(found, pairs)
    used |= _read_models(found, pairs, source)
    used |= _read_distilled_guidance(found, pairs, source)
    found.not_used += [label for label in pairs if label not in used | DESCRIPTIVE]
    return found


def _has_hires(pairs: Pairs) -> bool:
    return "Hires upscale" in pairs and "Denoising strength" in pairs


def _exact(text: str) -> int:
    number = int(text)
    if not 0 <= number <= MAX_EXACT:
        raise ValueError(text)
    return number


DISTILLED = "Distilled CFG Scale"
Read = Callable[[str], float]
NUMBERS: dict[str, tuple[str, Read]] = {
    "Steps": ("num_inference_steps", _exact),
    "CFG scale": ("guidance_scale", float),
    "Seed": ("seed", _exact),
    "Size-1": ("width", _exact),
    "Size-2": ("height", _exact),
    "Clip skip": ("clip_skip", _exact),
    "Refiner switch at": ("refiner_switch", float),
}
HIRES: dict[str, tuple[str, Read]] = {
    "Denoising strength": ("hires_strength", float),
    "Hires upscale": ("hires_scale", float),
    "Hires steps": ("hires_steps", _exact),
}
# Labels that describe the image and set nothing; RNG is the default of this platform.
DESCRIPTIVE = frozenset({"Version", "VAE hash", "Lora hashes", "TI hashes", "Model", "Model hash", "User"})
DESCRIPTIVE |= {"RNG", "Init image hash"}


def _read(found: Found, name: str, read: Read, text: str) -> bool:
    try:
        value = read(text)
    except ValueError:
        return False
    if value != value or abs(value) > MAX_EXACT:  # NaN and infinity are no numbers of JSON
        return False
    found.fields[name] = value
    return True


def _read_sampler(found: Found, pairs: Pairs) -> set[str]:
    name = pairs.get("Sampler", "")
    if not sampler_catalog.understands_sampler(name):
        return set()
    sampler, scheduler = sampler_catalog.resolve(name, pairs.get("Schedule type", ""))
    found.fields |= {"sampler": sampler, "scheduler": scheduler}
    return {"Sampler", "Schedule type"}


def _read_models(found: Found, pairs: Pairs, source: BusinessSource) -> set[str]:
    used = set()
    checkpoint = _name(Kind.CHECKPOINT, [pairs.get("Model hash"), pairs.get("Model")], source)
    if checkpoint:
        found.fields["checkpoint"] = checkpoint
    elif "Model" in pairs or "Model hash" in pairs:
        found.not_used.append(_("Model %(name)s") % {"name": pairs.get("Model", pairs.get("Model hash"))})
    found.fields["vae"] = found.fields["refiner"] = ""
    if "VAE" in pairs and (vae := _name(Kind.VAE, [pairs.get("VAE hash"), pairs["VAE"]], source)):
        found.fields["vae"] = vae
        used.add("VAE")
    if "Refiner" in pairs and (refiner := _name(Kind.CHECKPOINT, [pairs["Refiner"]], source)):
        found.fields["refiner"] = refiner
        used.add("Refiner")
    _read_loras(found, pairs, source)
    return used


def _read_distilled_guidance(found: Found, pairs: Pairs, source: BusinessSource) -> set[str]:
    """Forge's label for the guidance value that a denoiser reads itself; the guidance scale beside it is 1."""
    checkpoint = found.fields.get("checkpoint", "")
    if DISTILLED not in pairs or not defaults_of(checkpoint, source).embedded_guidance:
        return set()
    return {DISTILLED} if _read(found, "guidance_scale", float, pairs[DISTILLED]) else set()


def _read_loras(found: Found, pairs: Pairs, source: BusinessSource) -> None:
    """LoRAs that the file names by hash, but not by a tag of the prompt. Their weights are not written: 1."""
    tagged = {tag.name for tag in extra_networks(pairs["Prompt"])[1]}
    hashes = (part.partition(":") for part in pairs.get("Lora hashes", "").split(",") if part.strip())
    for name, _colon, digits in hashes:
        if name.strip() in tagged:
            continue
        known = _name(Kind.LORA, [digits.strip(), name.strip()], source)
        if known:
            found.loras.append((known, 1.0))
            found.not_used.append(_("weight of LoRA %(name)s (1 instead)") % {"name": known})
        else:
            found.not_used.append(_("LoRA %(name)s") % {"name": name.strip()})


def _name(kind: str, names: list[str | None], source: BusinessSource) -> str | None:
    """Registry name of the first of these names or hashes that the source may use."""
    for name in filter(None, names):
        try:
            return resolve(kind, name, source).name
        except ModelNotFound:
            continue
    return None
