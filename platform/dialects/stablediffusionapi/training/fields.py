"""Fields of the vendor's three training endpoints, with its limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dialects.stablediffusionapi.coercion import (
    Coercion,
    Invalid,
    between,
    integer,
    is_absent,
    number,
    one_of,
    short_text,
    text,
    track_id,
)
from dialects.stablediffusionapi.errors import WireError
from dialects.stablediffusionapi.request.fields import field_label, required
from dialects.stablediffusionapi.request.images import is_url
from gpu_runner.protocol import MAX_SEED
from gpu_runner.protocol.request_parts.training import MAX_TRAINING_IMAGES

MAX_STEPS = 2000  # of the vendor
NULL = frozenset({"null", "none"})


def images(value: Any) -> list[str]:
    """A list of URLs or data URIs, or a string of URLs with commas."""
    if isinstance(value, str):
        value = value.split(",") if is_url(value.strip()) else [value]
    if not isinstance(value, list):
        raise Invalid("must be an array.")
    if len(value) > MAX_TRAINING_IMAGES:
        raise Invalid(f"must not have more than {MAX_TRAINING_IMAGES} items.")
    return [text(item) for item in value if not is_absent(item)]


@dataclass(frozen=True)
class Form:
    """Fields of an endpoint. ``needed``: those that must not be absent."""

    fields: Mapping[str, Coercion]
    needed: tuple[str, ...]


COMMON: dict[str, Coercion] = {
    "instance_prompt": short_text,
    "class_prompt": text,
    "images": images,
    "training_type": one_of("men", "male", "women", "female", "couple", "null"),
    "seed": between(integer, 0, MAX_SEED),
    "webhook": text,
    "track_id": track_id,
    "wandb_key": short_text,
}
IN_STEPS: dict[str, Coercion] = {
    "max_train_steps": between(integer, 1, MAX_STEPS),
    "lora_type": one_of("lora", "lycoris"),
    "negative_prompt": text,
}
NEEDED = ("instance_prompt", "class_prompt", "images")
FORMS = {
    "lora_fine_tune": Form(
        COMMON | IN_STEPS | {"base_model_type": one_of("normal", "sdxl")}, (*NEEDED, "max_train_steps")
    ),
    "fine_tune": Form(COMMON | IN_STEPS | {"base_model_id": short_text}, (*NEEDED, "max_train_steps")),
    "fine_tune_v2": Form(
        COMMON
        | {
            "base_model_id": short_text,
            "learning_rate_unet": between(number, 0, 1),
            "steps_unet": between(integer, 1, MAX_STEPS),
            "learning_rate_text_encoder": between(number, 0, 1),
            "steps_text_encoder": between(integer, 0, MAX_STEPS),
        },
        NEEDED,
    ),
}


def parse(form: Form, given: Mapping[str, Any]) -> dict[str, Any]:
    """The value of every field; None if it is absent. Raises WireError with the errors of all fields."""
    values: dict[str, Any] = {}
    errors: dict[str, list[str]] = {}
    for name, coerce in form.fields.items():
        value = given.get(name)
        if name == "training_type" and isinstance(value, str) and value.strip().lower() in NULL:
            value = None
        try:
            values[name] = None if is_absent(value) else coerce(value)
        except Invalid as invalid:
            errors[name] = [f"The {field_label(name)} {invalid.reason}"]
    errors |= {name: [required(name)] for name in form.needed if values.get(name, "") in (None, [])}
    if errors:
        raise WireError.invalid(errors)
    return values
