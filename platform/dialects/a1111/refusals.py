"""Convert exceeded limits and validation errors to errors with A1111's field names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from jobs.errors import (
    BadIdempotencyKey,
    BudgetSpent,
    IdempotencyConflict,
    InvalidImage,
    ModelNotAllowed,
    QueueFull,
    QuotaSpent,
    RateLimited,
    Refused,
    SourceDisabled,
    TextModelFailed,
    UnknownModel,
)
from telemetry import counters

from .errors import Unprocessable, WireError, model_not_found
from .schema.images import invalid_image

WIRE_NAMES: dict[str, str] = {
    "num_inference_steps": "steps",
    "guidance_scale": "cfg_scale",
    "image_guidance_scale": "image_cfg_scale",
    "num_images": "batch_size",
    "strength": "denoising_strength",
    "sampler": "sampler_name",
    "checkpoint": "override_settings",
    "clip_skip": "override_settings",
    "schedule_bend": "override_settings",
    "unipc": "override_settings",
    "eta_noise_seed_delta": "override_settings",
    "seed_resize_from_width": "seed_resize_from_w",
    "seed_resize_from_height": "seed_resize_from_h",
    "inpaint.blur_x": "mask_blur_x",
    "inpaint.blur_y": "mask_blur_y",
    "inpaint.padding": "inpaint_full_res_padding",
    "hires.width": "hr_resize_x",
    "hires.height": "hr_resize_y",
    "hires.num_inference_steps": "hr_second_pass_steps",
    "hires.strength": "denoising_strength",
    "hires.prompt": "hr_prompt",
    "hires.loras": "hr_prompt",
    "hires.negative_prompt": "hr_negative_prompt",
    "refiner": "refiner_checkpoint",
    "refiner.switch_at": "refiner_switch_at",
    "upscaler": "override_settings",
    "tiled": "script_args",
    "controls": "alwayson_scripts",
    "detail_passes": "alwayson_scripts",
    "upscale.scale": "upscaling_resize",
    "upscale.width": "upscaling_resize_w",
    "upscale.height": "upscaling_resize_h",
    "face_restoration": "restore_faces",
    "face_restoration.visibility": "gfpgan_visibility",
    "loras": "prompt",
}
PRODUCTS = {"num_images": "batch_size × n_iter"}  # canonical fields that are products of wire fields
BOUNDS: dict[str, tuple[str, str, str]] = {
    "greater_than_equal": ("ge", "greater than or equal to", "value_error.number.not_ge"),
    "less_than_equal": ("le", "less than or equal to", "value_error.number.not_le"),
}


def wire_name(field: str | None) -> str:
    return WIRE_NAMES.get(field or "", field or "__root__")


def validation_entries(error: ValidationError) -> list[dict[str, Any]]:
    """Convert validation errors of the canonical request to entries of a 422 response."""
    return [_entry(invalid) for invalid in error.errors(include_url=False)]


def _wire_path(path: tuple[str | int, ...]) -> list[str]:
    """Wire name of a canonical path: that of the whole path if it has one, else of its first component."""
    dotted = ".".join(str(part) for part in path[:2])
    return [WIRE_NAMES.get(dotted) or wire_name(str(path[0]))] if path else []


def _entry(invalid: Any) -> dict[str, Any]:
    location = ["body", *_wire_path(invalid["loc"])]
    context = invalid.get("ctx", {})
    if invalid["type"] in BOUNDS:
        bound, relation, kind = BOUNDS[invalid["type"]]
        limit = context[bound]
        message = f"ensure this value is {relation} {limit}"
        return {"loc": location, "msg": message, "type": kind, "ctx": {"limit_value": limit}}
    if invalid["type"] == "string_too_long":
        limit = context["max_length"]
        message = f"ensure this value has at most {limit} characters"
        kind = "value_error.any_str.max_length"
        return {"loc": location, "msg": message, "type": kind, "ctx": {"limit_value": limit}}
    if invalid["type"] == "too_long":
        limit = context["max_length"]
        counted = "LoRAs" if invalid["loc"][-1] == "loras" else "items"
        message = f"ensure this value has at most {limit} {counted}"
        kind = "value_error.list.max_items"
        return {"loc": location, "msg": message, "type": kind, "ctx": {"limit_value": limit}}
    return {"loc": location, "msg": invalid["msg"], "type": "value_error"}


def refusal(refused: Refused, checkpoint: str, names: Mapping[str, str] | None = None) -> Exception:
    """Convert a refused job to an A1111 error. ``names`` overrides wire field names."""
    counters.refusals.labels(dialect="a1111", reason=refused.code).inc()
    match refused:
        case UnknownModel(field="upscaler"):
            return WireError(500, error="Exception", errors=refused.message)
        case UnknownModel(field="tagger"):
            return Unprocessable.unsupported(("body", "model"), refused.message)
        case UnknownModel():
            return model_not_found(checkpoint)
        case InvalidImage():
            return invalid_image("", refused.message)
        case QueueFull() | QuotaSpent() | RateLimited():
            headers = {"Retry-After": str(refused.retry_after)} if refused.retry_after else {}
            return WireError(429, detail=refused.message, headers=headers)
        case TextModelFailed():
            headers = {"Retry-After": str(refused.retry_after)} if refused.retry_after else {}
            return WireError(503, detail=refused.message, headers=headers)
        case BadIdempotencyKey():
            return WireError(400, detail=refused.message)
        case IdempotencyConflict():
            return WireError(409, detail=refused.message)
        case BudgetSpent():
            return WireError(402, detail=refused.message)
        case SourceDisabled() | ModelNotAllowed():
            return WireError(403, detail=refused.message)
    override = (names or {}).get(refused.field or "")
    name = override or wire_name(refused.field)
    display_name = override or PRODUCTS.get(refused.field or "", name)
    message = refused.message_naming(display_name)
    return Unprocessable.at(("body", name), message, f"value_error.{refused.code}")
