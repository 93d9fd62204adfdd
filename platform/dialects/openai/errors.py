"""Error responses: ``{"error": {"message", "type", "param", "code"}}``, which the SDKs turn into their exceptions."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.utils.translation import gettext as _
from pydantic import ValidationError
from rest_framework.exceptions import APIException, MethodNotAllowed
from rest_framework.response import Response

from dialects.http import OUTAGE_RETRY_S, BadBody, UnstorableText
from jobs.errors import (
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
from jobs.models import Job
from telemetry import counters

log = logging.getLogger(__name__)

INVALID_REQUEST = "invalid_request_error"
SERVER_ERROR = "server_error"
# Field of GenerationRequest -> field of this API.
PARAMS = {
    "width": "size",
    "height": "size",
    "num_images": "n",
    "num_inference_steps": "steps",
    "checkpoint": "model",
    "lora": "loras",
    "embedding": "prompt",
    "embeddings": "prompt",
    "init_images": "image",
    "init_images.0": "image",
    "images": "image",
    "inpaint.mask": "mask",
    "output_quality": "output_compression",
    "cut_out": "background",
    "matting": "background",
    "vae": "model",
    "nsfw": "moderation",
}
NO_PARAMS: Mapping[str, str] = {}


class APIError(Exception):
    """An error response. ``more`` are further members of the error object.

    ``may_retry``: whether the SDKs may send the request again by themselves; None leaves it to the status.
    """

    def __init__(
        self,
        status: int,
        error_type: str,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
        may_retry: bool | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = {"message": message, "type": error_type, "param": param, "code": code, **more}
        self.headers: dict[str, str] = {}
        if retry_after:
            self.headers["Retry-After"] = str(retry_after)
        if may_retry is not None:
            self.headers["x-should-retry"] = str(may_retry).lower()

    @classmethod
    def invalid(cls, param: str | None, message: str, code: str | None = "invalid_value") -> APIError:
        return cls(400, INVALID_REQUEST, message, param=param, code=code)

    @classmethod
    def invalid_key(cls, message: str) -> APIError:
        error = cls(401, INVALID_REQUEST, message, code="invalid_api_key")
        error.headers["WWW-Authenticate"] = 'Bearer realm="atelier"'
        return error

    @classmethod
    def forbidden(cls, message: str, param: str | None = None) -> APIError:
        return cls(403, "permission_error", message, param=param, code="permission_error")

    @classmethod
    def unknown_model(cls, message: str) -> APIError:
        return cls(404, INVALID_REQUEST, message, param="model", code="model_not_found")

    @classmethod
    def of(cls, refused: Refused, params: Mapping[str, str] = NO_PARAMS) -> APIError:
        """From a refusal at admission. ``params``: fields of the request that values were derived from, by field."""
        counters.refusals.labels(dialect="openai", reason=refused.code).inc()
        name = param_name(refused.field)
        param = params.get(refused.field or "", name)
        message = refused.message_naming(name or "")
        match refused:
            case QuotaSpent() | BudgetSpent():
                quota = "insufficient_quota"
                return cls(429, quota, message, code=quota, retry_after=refused.retry_after, may_retry=False)
            case QueueFull() | RateLimited():
                rate = "rate_limit_exceeded"
                return cls(429, rate, message, code=rate, retry_after=refused.retry_after)
            case ModelNotAllowed() | SourceDisabled():
                return cls.forbidden(message, param)
            case IdempotencyConflict():
                return cls(409, INVALID_REQUEST, message, code=refused.code, may_retry=False)
            case TextModelFailed():
                return cls(503, SERVER_ERROR, message, code=refused.code, retry_after=OUTAGE_RETRY_S)
            case UnknownModel(field="checkpoint"):
                return cls.unknown_model(message)
        return cls.invalid(param, message, refused.code)

    @classmethod
    def of_fields(cls, error: ValidationError) -> APIError:
        """From the first of the validation errors of a body. Values are not repeated: they may be large or secret."""
        detail = error.errors(include_url=False, include_context=False, include_input=False)[0]
        param = ".".join(str(part) for part in detail["loc"]) or None
        match detail["type"]:
            case "missing":
                message = _("Missing required parameter: '%(param)s'.") % {"param": param}
                return cls.invalid(param, message, "missing_required_parameter")
            case "extra_forbidden":
                message = _("Unknown parameter: '%(param)s'.") % {"param": (param or "")[:100]}
                return cls.invalid(param, message, "unknown_parameter")
        message = _("Invalid value for '%(param)s': %(reason)s.")
        return cls.invalid(param, message % {"param": param, "reason": detail["msg"].rstrip(".")})

    def response(self) -> Response:
        return Response({"error": self.error}, status=self.status, headers=self.headers)


def param_name(field: str | None) -> str | None:
    """The name in this API of a field of the GenerationRequest."""
    return PARAMS.get(field or "", field)


def failure(job: Job) -> APIError:
    """The error of a job that ended without images. A repetition would be charged again, so SDKs must not send one."""
    more: dict[str, Any] = {"job_id": str(job.pk), "may_retry": False}
    match job.error_code or job.state:
        case "nsfw":
            message = _("The image was rejected by the NSFW policy.")
            return APIError(400, INVALID_REQUEST, message, code="moderation_blocked", **more)
        case "bad_request":
            return APIError(400, INVALID_REQUEST, job.error_message, code="bad_request", **more)
        case "expired":
            message = _("The job waited too long for a free runner.")
            return APIError(503, SERVER_ERROR, message, code="overloaded", **more)
        case "cancelled":
            return APIError(500, SERVER_ERROR, _("The job was cancelled."), code="cancelled", **more)
    message = job.error_message or _("The job failed.")
    return APIError(500, SERVER_ERROR, message, code=job.error_code or SERVER_ERROR, **more)


def too_large() -> APIError:
    return APIError(413, INVALID_REQUEST, _("The request body is too large."), code="request_too_large")


def exception_response(error: Exception, context: dict[str, Any]) -> Response:
    """Exception handler of this dialect's views. Unexpected exceptions are logged; the client gets no details."""
    return api_error(error, context["request"].path).response()


def api_error(error: Exception, path: str) -> APIError:
    match error:
        case APIError():
            return error
        case Refused():
            return APIError.of(error)
        case ValidationError():
            return APIError.of_fields(error)
        case UnstorableText():
            param = ".".join(map(str, error.location))[:200] or None
            return APIError.invalid(param, error.message)
        case BadBody():
            return APIError.invalid(None, error.message, "invalid_json")
        case RequestDataTooBig():
            return too_large()
        case SuspiciousOperation() | UnreadablePostError() | MultiPartParserError():
            return APIError.invalid(None, _("The request body cannot be read."), "malformed_body")
        case MethodNotAllowed():
            message = _("Method not allowed.")
            return APIError(405, INVALID_REQUEST, message, code="method_not_allowed")
        case APIException():
            return APIError(error.status_code, INVALID_REQUEST, str(error.detail), code=error.default_code)
    log.exception("Unexpected error in %s", path, exc_info=error)
    return APIError(500, SERVER_ERROR, _("Internal error."), code=SERVER_ERROR)
