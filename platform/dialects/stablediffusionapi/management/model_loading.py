"""Requests of load_model, load_model_v2, load_vae and of v3's load_model as requests for an intake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from access.models import AccessKey
from dialects.stablediffusionapi.authentication import DIALECT
from dialects.stablediffusionapi.coercion import (
    Coercion,
    Invalid,
    flag,
    is_absent,
    one_of,
    short_text,
    text,
    track_id,
)
from dialects.stablediffusionapi.errors import WireError
from dialects.stablediffusionapi.request.fields import field_label, not_supported, required
from jobs.model_intake.submission import IntakeRequest
from jobs.outbound.callbacks.outbox import CallbackRequest
from models_registry.models import Family, Kind

CATEGORIES: dict[str, tuple[Kind, tuple[Family, ...]]] = {
    "stable_diffusion": (Kind.CHECKPOINT, (Family.SD15, Family.SD2)),
    "stable_diffusion_xl": (Kind.CHECKPOINT, (Family.SDXL,)),
    "controlnet": (Kind.CONTROLNET, ()),
    "lora": (Kind.LORA, ()),
    "embeddings": (Kind.EMBEDDING, ()),
    "vae": (Kind.VAE, ()),
}
OTHER_CATEGORIES = ("flux", "z_image")  # of the vendor
TYPES = {
    "custom_ckpt": Kind.CHECKPOINT,
    "lora": Kind.LORA,
    "embeddings": Kind.EMBEDDING,
    "controlnet": Kind.CONTROLNET,
}
OTHER_TYPES = ("huggingface", "api_trained")
FORMATS = {"safetensors": "safetensors", "ckpt": "pickle", "pt": "pickle"}
DIFFUSERS = "diffusers"

COMMON: dict[str, Coercion] = {"webhook": text, "track_id": track_id, "revision": one_of("fp16", "fp32")}
FIELDS: dict[str, dict[str, Coercion]] = {
    "load_model": {
        "url": text,
        "model_id": short_text,
        "model_type": one_of(*TYPES, *OTHER_TYPES),
        "from_safetensors": flag,
        "upcast_attention": flag,
    },
    "load_model_v2": {
        "url": text,
        "model_id": short_text,
        "model_category": one_of(*CATEGORIES, *OTHER_CATEGORIES),
        "model_format": one_of(*FORMATS, DIFFUSERS),
        "model_subcategory": short_text,
    },
    "load_vae": {"vae_url": text, "vae_id": short_text, "vae_type": one_of(*FORMATS, DIFFUSERS)},
}
FIELDS["v3"] = FIELDS["load_model_v2"] | {
    "force_load": flag,
    "model_visibility": one_of("private", "public"),
    "model_name": short_text,
    "model_image": text,
    "hf_upload": flag,
}
NEEDED = {
    "load_model": ("url", "model_id"),
    "load_model_v2": ("url", "model_id"),
    "load_vae": ("vae_url", "vae_id", "vae_type"),
    "v3": ("url", "model_id"),
}
WIRE_NAMES = {"name": "model_id", "title": "model_name", "callback": "webhook", "kind": "model_category"}
VAE_WIRE_NAMES = {"name": "vae_id", "url": "vae_url", "callback": "webhook"}


@dataclass(frozen=True)
class Parsed:
    """``notes``: sentences about fields that have no effect here, for the response."""

    request: IntakeRequest
    notes: list[str]


def wire_name(edition: str, field: str) -> str:
    """The name of a field of an intake in a request of this edition of the endpoint."""
    return (VAE_WIRE_NAMES if edition == "load_vae" else WIRE_NAMES).get(field, field)


def read(edition: str, key: AccessKey, given: Mapping[str, Any], base_url: str) -> Parsed:
    """The intake that a request asks for. ``edition``: a key of FIELDS. Raises WireError."""
    values = _values(edition, given)
    _refuse_unsupported(values)
    kind, families = _kind(edition, values)
    callback = None
    if values.get("webhook"):
        callback = CallbackRequest(
            values["webhook"], extra={"track_id": values["track_id"]}, base_url=base_url
        )
    request = IntakeRequest(
        source=key.source,
        key=key,
        requested_by=key.key_id,
        dialect=DIALECT,
        url=values.get("url") or values["vae_url"],
        name=values.get("model_id") or values["vae_id"],
        kind=kind,
        families=families,
        file_format=_file_format(values),
        title=values.get("model_name") or "",
        callback=callback,
    )
    return Parsed(request, list(_notes(values)))


def _values(edition: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The value of every field; None if it is absent. Raises WireError with the errors of all fields."""
    values: dict[str, Any] = {}
    errors: dict[str, list[str]] = {}
    for name, coerce in (FIELDS[edition] | COMMON).items():
        try:
            values[name] = None if is_absent(given.get(name)) else coerce(given[name])
        except Invalid as invalid:
            errors[name] = [f"The {field_label(name)} {invalid.reason}"]
    errors |= {name: [required(name)] for name in NEEDED[edition] if values.get(name, "") is None}
    if errors:
        raise WireError.invalid(errors)
    return values


def _refuse_unsupported(values: dict[str, Any]) -> None:
    reasons = {
        ("model_type", "huggingface"): _("give the URL of one file instead of a repository"),
        ("model_type", "api_trained"): _(
            "a model that was trained here needs no loading: use its id as lora_model"
        ),
        ("model_category", "flux"): _("the engine has no models of this family"),
        ("model_category", "z_image"): _("the engine has no models of this family"),
        ("model_format", DIFFUSERS): _("give the URL of one file instead of a repository"),
        ("vae_type", DIFFUSERS): _("give the URL of one file instead of a repository"),
        ("hf_upload", True): _("files are not uploaded to Hugging Face"),
        ("force_load", True): _("a loaded file is never replaced; choose another model id"),
    }
    for (name, value), reason in reasons.items():
        if values.get(name) == value:
            raise not_supported(name, reason)


def _kind(edition: str, values: dict[str, Any]) -> tuple[str, tuple[Family, ...]]:
    if edition == "load_vae":
        return Kind.VAE, ()
    if values.get("model_category"):
        return CATEGORIES[values["model_category"]]
    return TYPES.get(values.get("model_type") or "", ""), ()


def _file_format(values: dict[str, Any]) -> str:
    if values.get("from_safetensors"):
        return "safetensors"
    return FORMATS.get(values.get("model_format") or values.get("vae_type") or "", "")


def _notes(values: dict[str, Any]) -> Any:
    if values.get("revision"):
        yield _("revision has no effect: the precision is that of the file.")
    if values.get("upcast_attention"):
        yield _("upcast_attention has no effect.")
    if values.get("model_subcategory"):
        yield _("model_subcategory has no effect: the kind is detected from the file.")
    if values.get("model_visibility") == "public":
        yield _("model_visibility: the model is visible to this source only.")
    if values.get("model_image"):
        yield _("model_image has no effect.")
