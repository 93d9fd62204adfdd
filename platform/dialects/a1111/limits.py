"""Limits that a request passed, in the words of A1111's fields."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from jobs.errors import BadPicture, QueueFull, Refused, SourceDisabled, UnknownModel

from .errors import Unprocessable, WireError, model_not_found
from .pictures import invalid_picture

WIRE_NAMES: dict[str, str] = {
    "num_inference_steps": "steps",
    "guidance_scale": "cfg_scale",
    "num_images": "batch_size",
    "strength": "denoising_strength",
    "sampler": "sampler_name",
    "checkpoint": "override_settings",
    "clip_skip": "override_settings",
}
BOUNDS: dict[str, tuple[str, str, str]] = {
    "greater_than_equal": ("ge", "greater than or equal to", "value_error.number.not_ge"),
    "less_than_equal": ("le", "less than or equal to", "value_error.number.not_le"),
}


def wire_name(field: str | None) -> str:
    return WIRE_NAMES.get(field or "", field or "__root__")


def bounds_as_on_the_wire(error: ValidationError) -> list[dict[str, Any]]:
    """The canonical request's complaints as entries of a 422."""
    return [_entry(complaint) for complaint in error.errors(include_url=False)]


def _entry(complaint: Any) -> dict[str, Any]:
    place = [*complaint["loc"][:1]]
    location = ["body", *(wire_name(str(name)) for name in place)] if place else ["body"]
    context = complaint.get("ctx", {})
    if complaint["type"] in BOUNDS:
        bound, words, kind = BOUNDS[complaint["type"]]
        limit = context[bound]
        message = f"ensure this value is {words} {limit}"
        return {"loc": location, "msg": message, "type": kind, "ctx": {"limit_value": limit}}
    if complaint["type"] == "string_too_long":
        limit = context["max_length"]
        message = f"ensure this value has at most {limit} characters"
        kind = "value_error.any_str.max_length"
        return {"loc": location, "msg": message, "type": kind, "ctx": {"limit_value": limit}}
    return {"loc": location, "msg": complaint["msg"], "type": "value_error"}


def refusal(refused: Refused, checkpoint: str) -> Exception:
    """What A1111's client is told when the platform does not take the job."""
    match refused:
        case UnknownModel():
            return model_not_found(checkpoint)
        case BadPicture():
            return invalid_picture()
        case QueueFull():
            headers = {"Retry-After": str(refused.retry_after)} if refused.retry_after else {}
            return WireError(429, detail=refused.message, headers=headers)
        case SourceDisabled():
            return WireError(403, detail=refused.message)
    name = wire_name(refused.field)
    message = refused.message.replace(refused.field, name) if refused.field else refused.message
    return Unprocessable.at(("body", name), message, f"value_error.{refused.code}")
