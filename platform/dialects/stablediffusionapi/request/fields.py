"""Fields of generation requests. Every endpoint parses all of them; unknown ones are ignored, as in the original API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from dialects.stablediffusionapi.coercion import (
    Coercion,
    Invalid,
    between,
    flag,
    integer,
    is_absent,
    names,
    number,
    numbers,
    one_of,
    short_text,
    text,
    track_id,
)
from dialects.stablediffusionapi.endpoints import Endpoint
from dialects.stablediffusionapi.errors import WireError
from gpu_runner.protocol import MAX_SEED

from . import editing_fields, unsupported_fields, video_fields

SMALLEST, LARGEST = 64, 1024
MAX_SAMPLES = 4
MAX_STEPS = 500
MAX_CONTROL_WEIGHT = 5
NO_SEED = -1
SAFETY_TYPES = {"blur": "blur", "pixelate": "blur", "sensitive_content_text": "blank", "black": "blank"}


def _seed(value: Any) -> int | None:
    """A seed; None for -1, which clients of A1111 send for a random one."""
    seed = between(integer, NO_SEED, MAX_SEED)(value)
    return None if seed == NO_SEED else seed


FIELDS: dict[str, Coercion] = {
    "prompt": text,
    "negative_prompt": text,
    "model_id": short_text,
    "init_image": text,
    "mask_image": text,
    "control_image": text,
    "width": between(integer, SMALLEST, LARGEST),
    "height": between(integer, SMALLEST, LARGEST),
    "samples": between(integer, 1, MAX_SAMPLES),
    "num_inference_steps": between(integer, 1, MAX_STEPS),
    "steps": between(integer, 1, MAX_STEPS),
    "safety_checker": flag,
    "safety_checker_type": one_of(*SAFETY_TYPES),
    "enhance_prompt": flag,
    "guidance_scale": between(number, 1, 20),
    "strength": between(number, 0, 1),
    "seed": _seed,
    "scheduler": short_text,
    "use_karras_sigmas": flag,
    "algorithm_type": short_text,
    "clip_skip": between(integer, 1, 8),
    "lora_model": names,
    "lora_strength": between(numbers, 0.1, 1),
    "embeddings_model": names,
    "embeddings": names,
    "vae": short_text,
    "upscale": flag,
    "highres_fix": flag,
    "panorama": flag,
    "multi_lingual": flag,
    "self_attention": flag,
    "tomesd": flag,
    "ip_adapter_id": short_text,
    "ip_adapter_scale": short_text,
    "ip_adapter_image": short_text,
    "controlnet_model": names,
    "controlnet_type": names,
    "controlnet_conditioning_scale": between(numbers, 0, MAX_CONTROL_WEIGHT),
    "auto_hint": flag,
    "guess_mode": flag,
    "url": text,
    "scale": between(number, 1, 4),
    "face_enhance": flag,
    "base64": flag,
    "temp": flag,
    "instant_response": flag,
    "loadbalancer": flag,
    "webhook": text,
    "track_id": track_id,
}
# Strings that form and query-string clients send for null, and the fields in which they are values of their own.
NULL_STRINGS = frozenset({"null", "none", "undefined"})
LITERAL_FIELDS = frozenset({"prompt", "negative_prompt", "algorithm_type", "track_id", "model_id"})
REQUIRED: dict[str, tuple[str, ...]] = {
    "text2img": ("prompt",),
    "img2img": ("prompt", "init_image"),
    "inpaint": ("prompt", "init_image", "mask_image"),
    "controlnet": (),
    "super_resolution": ("url",),
    **editing_fields.REQUIRED,
    **video_fields.REQUIRED,
}


def parse(endpoint: Endpoint, given: Mapping[str, Any]) -> dict[str, Any]:
    """The value of every field; None if it is absent. Raises WireError with the errors of all fields."""
    values: dict[str, Any] = {}
    errors: dict[str, list[str]] = {}
    given = editing_fields.under_documented_names(endpoint, given)
    own = editing_fields.EDITING.get(endpoint.task) or video_fields.FIELDS.get(endpoint.task) or {}
    for name, coerce in (FIELDS | own).items():
        try:
            value = given.get(name)
            values[name] = None if _is_null(name, value) else coerce(value)
        except Invalid as invalid:
            errors[name] = [f"The {field_label(name)} {invalid.reason}"]
    required_names = [*REQUIRED[endpoint.task], *(["model_id"] if endpoint.needs_model else [])]
    errors |= {name: [required(name)] for name in required_names if values.get(name, "") is None}
    for name, message in unsupported_fields.fields(endpoint, values):
        errors.setdefault(name, []).append(message)
    if errors:
        raise WireError.invalid(errors)
    if endpoint.task in editing_fields.EDITING and values["enhance_prompt"] is None:
        values["enhance_prompt"] = False  # an instruction, or what is around an image, needs no embellishment
    return values


def _is_null(name: str, value: Any) -> bool:
    if is_absent(value):
        return True
    return name not in LITERAL_FIELDS and isinstance(value, str) and value.strip().lower() in NULL_STRINGS


def field_label(name: str) -> str:
    """The name of a field in messages, as Laravel writes it: "init image" for ``init_image``."""
    return name.replace("_", " ")


def required(name: str) -> str:
    """The vendor's message for a missing field."""
    return f"The {field_label(name)} field is required."


def not_supported(name: str, reason: str) -> WireError:
    """The error for a field whose value this platform does not support."""
    texts = {"field": field_label(name), "reason": reason}
    return WireError.invalid({name: [_("The %(field)s is not supported: %(reason)s.") % texts]})
