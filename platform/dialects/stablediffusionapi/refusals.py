"""Refusals and validation errors as error responses, with the field names of this API."""

from __future__ import annotations

from django.utils.translation import gettext as _
from pydantic import ValidationError

from jobs.errors import (
    BadIdempotencyKey,
    BudgetSpent,
    IdempotencyConflict,
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

from .authentication import TIP
from .errors import WireError

WIRE_NAMES: dict[str, str] = {
    "num_images": "samples",
    "output_width": "width",
    "output_height": "height",
    "hires.width": "width",
    "hires.height": "height",
    "hires.num_inference_steps": "num_inference_steps",
    "init_images": "init_image",
    "sampler": "scheduler",
    "checkpoint": "model_id",
    "loras": "lora_model",
    "lora": "lora_model",
    "embedding": "embeddings_model",
    "controlnet": "controlnet_model",
    "controls": "controlnet_type",
    "preprocessor": "controlnet_type",
    "upscaler": "upscale",
    "face_restorer": "face_enhance",
    "face_detector": "face_enhance",
    "face_restoration": "face_enhance",
    "matting": "image",
    "tagger": "init_image",
    "magic_mix": "kmin",
    "nsfw": "safety_checker",
    "video.frames": "num_frames",
    "video.fps": "fps",
    "video": "prompt",
    "callback": "webhook",
}
QUEUE_TIP = "Wait for your queued requests to finish, or request a larger queue."
RATE_TIP = "Send fewer requests per second, or request a higher rate."


def wire_name(field: str | None) -> str:
    """The vendor's name of a field of the GenerationRequest."""
    return WIRE_NAMES.get(field or "", field or "prompt")


def invalid(error: ValidationError) -> WireError:
    """From the validation errors of the GenerationRequest."""
    messages: dict[str, list[str]] = {}
    for detail in error.errors(include_url=False, include_context=False, include_input=False):
        dotted = ".".join(str(part) for part in detail["loc"][:2])
        name = WIRE_NAMES.get(dotted) or wire_name(str(detail["loc"][0]) if detail["loc"] else None)
        messages.setdefault(name, []).append(f"The {name.replace('_', ' ')} is invalid: {detail['msg']}.")
    return WireError.invalid(messages)


def refusal(refused: Refused, edition: str, model: str) -> WireError:
    """The error response of a refused job; ``model`` is the checkpoint that the request names."""
    counters.refusals.labels(dialect="stablediffusionapi", reason=refused.code).inc()
    match refused:
        case UnknownModel(field="checkpoint"):
            return model_not_found(edition, model)
        case QueueFull() | RateLimited():
            return _rate_limit(refused, edition)
        case QuotaSpent() | BudgetSpent():
            return _no_credit(refused)
        case TextModelFailed():
            return _with_retry_after(WireError(503, refused.message), refused)
        case ModelNotAllowed():
            return WireError(403, refused.message)
        case BadIdempotencyKey():
            return WireError(400, refused.message)
        case IdempotencyConflict():
            return WireError(409, refused.message)
        case SourceDisabled():
            return WireError(401, "Invalid Api Key", tip=TIP)
    name = wire_name(refused.field)
    return WireError.invalid({name: [refused.message_naming(name)]})


def _no_credit(refused: Refused) -> WireError:
    """A spent budget is permanent; a spent quota ends with the day or the month, and has a retry_after."""
    return _with_retry_after(WireError(402, f"Insufficient credits. {refused.message}"), refused)


def _with_retry_after(error: WireError, refused: Refused) -> WireError:
    if refused.retry_after:
        error.more["retry_after"] = refused.retry_after
        error.headers["Retry-After"] = str(refused.retry_after)
    return error


def refused_endpoint(path: str, reason: object) -> WireError:
    """The error of an endpoint that is refused with a reason."""
    texts = {"path": f"/api/{path}", "reason": reason}
    return WireError(403, _("%(path)s is not available: %(reason)s.") % texts)


def model_not_found(edition: str, name: str) -> WireError:
    """The error of an unknown model, which v6 names."""
    return WireError(400, f"Model not found: {name}" if edition == "v6" else "Model id not found")


def _rate_limit(refused: Refused, edition: str) -> WireError:
    message = "Rate limit exceeded" if edition != "v6" else f"Rate limit exceeded. {refused.message}"
    tips = QUEUE_TIP if isinstance(refused, QueueFull) else RATE_TIP
    return _with_retry_after(WireError(429, message, tips=tips), refused)
