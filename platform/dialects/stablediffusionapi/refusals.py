"""What the platform refuses, in the words of this API's fields."""

from __future__ import annotations

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
    UnknownModel,
)
from telemetry import counters

from .authentication import TIP
from .errors import WireError

WIRE_NAMES: dict[str, str] = {
    "num_images": "samples",
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
    "nsfw": "safety_checker",
    "callback": "webhook",
}
QUEUE_TIP = "Wait for your queued requests to finish, or ask for more places in the queue."
RATE_TIP = "Send fewer requests in a second, or ask for a higher rate."


def wire_name(field: str | None) -> str:
    return WIRE_NAMES.get(field or "", field or "prompt")


def invalid(error: ValidationError) -> WireError:
    """The canonical request's complaints."""
    wrong: dict[str, list[str]] = {}
    for complaint in error.errors(include_url=False, include_context=False, include_input=False):
        dotted = ".".join(str(part) for part in complaint["loc"][:2])
        name = WIRE_NAMES.get(dotted) or wire_name(str(complaint["loc"][0]) if complaint["loc"] else None)
        wrong.setdefault(name, []).append(f"The {name.replace('_', ' ')} is invalid: {complaint['msg']}.")
    return WireError.invalid(wrong)


def refusal(refused: Refused, edition: str, model: str) -> WireError:
    """What a client is told when the platform does not take the job."""
    counters.refusals.labels(dialect="stablediffusionapi", reason=refused.code).inc()
    match refused:
        case UnknownModel(field="checkpoint"):
            return model_not_found(edition, model)
        case QueueFull() | RateLimited():
            return _rate_limit(refused, edition)
        case QuotaSpent() | BudgetSpent():
            return _no_credit(refused)
        case ModelNotAllowed():
            return WireError(403, refused.message)
        case BadIdempotencyKey():
            return WireError(400, refused.message)
        case IdempotencyConflict():
            return WireError(409, refused.message)
        case SourceDisabled():
            return WireError(401, "Invalid Api Key", tip=TIP)
    name = wire_name(refused.field)
    message = refused.message.replace(refused.field, name) if refused.field else refused.message
    return WireError.invalid({name: [message]})


def _no_credit(refused: Refused) -> WireError:
    """For ever, or until a day or a month is over."""
    return _later(WireError(402, f"Insufficient credits. {refused.message}"), refused)


def _later(error: WireError, refused: Refused) -> WireError:
    if refused.retry_after:
        error.more["retry_after"] = refused.retry_after
        error.headers["Retry-After"] = str(refused.retry_after)
    return error


def model_not_found(edition: str, name: str) -> WireError:
    return WireError(400, f"Model not found: {name}" if edition == "v6" else "Model id not found")


def _rate_limit(refused: Refused, edition: str) -> WireError:
    told = "Rate limit exceeded" if edition != "v6" else f"Rate limit exceeded. {refused.message}"
    tips = QUEUE_TIP if isinstance(refused, QueueFull) else RATE_TIP
    return _later(WireError(429, told, tips=tips), refused)
