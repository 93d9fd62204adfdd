"""Error responses: ``{"error": {"code", "message", "param", "type"}}`` with an HTTP status."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import UnreadablePostError
from django.utils.translation import gettext as _
from pydantic import ValidationError
from rest_framework.exceptions import APIException, MethodNotAllowed
from rest_framework.response import Response

from jobs.errors import Refused
from telemetry import counters

log = logging.getLogger(__name__)

INVALID = "InvalidParameter"
NO_MODEL = "InvalidEndpointOrModel.NotFound"
SENSITIVE = "OutputImageSensitiveContentDetected"
INTERNAL = "InternalServiceError"
# The vendor's clients repeat a request after 429 and 5xx unless this header says that it is useless.
NO_RETRY = {"x-should-retry": "false"}
TYPES = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 429: "TooManyRequests"}
# Code of Refused -> HTTP status and code; InvalidParameter for all others.
REFUSED = {
    "model_not_allowed": (403, "AccessDenied"),
    "source_disabled": (403, "AccessDenied"),
    "queue_full": (429, "RateLimitExceeded"),
    "rate_limited": (429, "RateLimitExceeded"),
    "quota_exhausted": (429, "QuotaExceeded"),
    "budget_exhausted": (429, "QuotaExceeded"),
    "text_model_failed": (503, INTERNAL),
}
MAX_IMAGES = "sequential_image_generation_options.max_images"
# Field of the GenerationRequest -> field of this API; fields that this API does not have are not named.
FIELDS = {
    "checkpoint": "model",
    "prompt": "prompt",
    "loras": "prompt",
    "lora": "prompt",
    "embedding": "prompt",
    "image": "image",  # read by this dialect
    "init_images": "image",
    "images": "image",
    "num_images": MAX_IMAGES,
    "width": "size",
    "height": "size",
    "hires.width": "size",
    "hires.height": "size",
    "matting": "background",
    "guidance_scale": "guidance_scale",
    "image_guidance_scale": "image_guidance_scale",
}
SIDES = {"width": "width", "height": "height", "hires.width": "width", "hires.height": "height"}


class ArkError(Exception):
    """An error response. ``param`` is the field of the request that caused it."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.param = status, code, message, param
        self.headers = dict(headers or {})

    @classmethod
    def invalid(cls, param: str, message: str) -> ArkError:
        return cls(400, INVALID, message, param=param)

    @classmethod
    def of(cls, refused: Refused) -> ArkError:
        counters.refusals.labels(dialect="ark", reason=refused.code).inc()
        field = refused.field or ""
        if refused.code == "unknown_model" and field == "checkpoint":
            return cls(404, NO_MODEL, refused.message, param="model")
        status, code = REFUSED.get(refused.code, (400, INVALID))
        headers = {"Retry-After": str(refused.retry_after)} if refused.retry_after else {}
        if code == "QuotaExceeded":
            headers |= NO_RETRY
        if status == 400 and refused.retry_after:
            status, code = 429, "RateLimitExceeded"
        return cls(status, code, _message(refused), param=_param(field), headers=headers)

    @classmethod
    def of_validation(cls, error: ValidationError) -> ArkError:
        """From the first validation error. Values of the request are not repeated: they may be large."""
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        name = ".".join(str(part) for part in first["loc"] if part not in ("str", "list[str]"))
        reasons = {
            "missing": _("is required"),
            "extra_forbidden": _("is not a field of this API"),
        }
        reason = reasons.get(first["type"]) or first["msg"]
        return cls.invalid(name, f"{name}: {reason}" if name else reason)

    def as_json(self) -> dict[str, Any]:
        kind = TYPES.get(self.status, "BadRequest" if self.status < 500 else "InternalServerError")
        return {"code": self.code, "message": self.message, "param": self.param, "type": kind}

    def response(self) -> Response:
        return Response({"error": self.as_json()}, status=self.status, headers=self.headers)


def _param(field: str) -> str:
    if field.startswith("image["):  # one of several images
        return field
    return FIELDS.get(field) or FIELDS.get(field.partition(".")[0], "")


def _message(refused: Refused) -> str:
    """The message with the names of this API."""
    field = refused.field or ""
    if field in SIDES and refused.names_field:
        return refused.message_naming(f"size: {SIDES[field]}")
    name = _param(field)
    if not name or refused.names_field:
        return refused.message_naming(name or field)
    return f"{name}: {refused.message}"


def exception_response(error: Exception, context: dict[str, Any]) -> Response:
    """Exception handler of this dialect's views. Unexpected exceptions are logged; the client gets no details."""
    match error:
        case ArkError():
            return error.response()
        case Refused():
            return ArkError.of(error).response()
        case ValidationError():
            return ArkError.of_validation(error).response()
        case RequestDataTooBig():
            return ArkError(413, INVALID, _("The request body is too large.")).response()
        case SuspiciousOperation() | UnreadablePostError():
            return ArkError.invalid("", _("The request body cannot be read.")).response()
        case MethodNotAllowed():
            return ArkError(405, INVALID, _("Method not allowed.")).response()
        case APIException():
            return ArkError(error.status_code, INVALID, str(error.detail)).response()
    log.exception("Unexpected error in %s", context["request"].path, exc_info=error)
    return ArkError(500, INTERNAL, _("Internal error.")).response()
