"""Response envelope ``{"error_code", "error_msg", "data"}`` and errors. The HTTP status is always 200."""

from __future__ import annotations

import logging
from enum import IntEnum
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import UnreadablePostError
from django.utils.translation import gettext as _
from pydantic import ValidationError
from rest_framework.exceptions import APIException
from rest_framework.response import Response

from jobs.errors import Refused
from telemetry import counters

log = logging.getLogger(__name__)


class Code(IntEnum):
    """Values of ``error_code``."""

    OK = 0
    PARAMETER = 1001
    IMAGE = 1002
    MODEL = 1003
    GENERATION = 1004
    BUSY = 1005
    CALLER = 1006
    UNSUPPORTED = 1007


# Code of Refused -> error_code; PARAMETER for all others.
REFUSED = {
    "unknown_model": Code.MODEL,
    "bad_picture": Code.IMAGE,
    "text_model_failed": Code.GENERATION,
    "queue_full": Code.BUSY,
    "rate_limited": Code.BUSY,
    "quota_exhausted": Code.BUSY,
    "budget_exhausted": Code.CALLER,
    "model_not_allowed": Code.MODEL,
    "source_disabled": Code.CALLER,
    "unsupported": Code.UNSUPPORTED,
}
FIELDS = {  # field of the GenerationRequest -> field of this API, where they differ
    "callback": "callback_url",
    "num_images": "batch_size",
    "channel": "upload_img_config.channel",
    "public_host": "upload_img_config.public_host",
    "num_inference_steps": "steps",
}


class WireError(Exception):
    """An error response."""

    def __init__(self, code: Code, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.code, self.message = code, message
        self.headers = {"Retry-After": str(retry_after)} if retry_after else {}

    @classmethod
    def of(cls, refused: Refused) -> WireError:
        counters.refusals.labels(dialect="smzdm", reason=refused.code).inc()
        code = REFUSED.get(refused.code, Code.PARAMETER)
        return cls(code, _with_wire_name(refused), refused.retry_after)

    @classmethod
    def invalid(cls, error: ValidationError) -> WireError:
        """From the first validation error. Values of the request are not repeated."""
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] in ("missing", "too_short"):
            return cls(Code.PARAMETER, _("%(field)s is missing.") % {"field": name})
        if first["type"] == "too_long":
            values = {"field": name, "limit": first["ctx"]["max_length"]}
            return cls(Code.PARAMETER, _("%(field)s must have a length of at most %(limit)d.") % values)
        return cls(Code.PARAMETER, f"{name}: {first['msg']}" if name else first["msg"])


def _with_wire_name(refused: Refused) -> str:
    field = refused.field or ""
    name = FIELDS.get(field)
    if name is None or refused.names_field:
        return refused.message_naming(name or field)
    return f"{name}: {refused.message}"


def envelope(data: Any, code: Code = Code.OK, message: str = "") -> dict[str, Any]:
    """Body of a response."""
    return {"error_code": int(code), "error_msg": message, "data": data}


def exception_response(error: Exception, context: dict[str, Any]) -> Response:
    """Exception handler of this dialect's views. Unexpected exceptions are logged; the client gets no details."""
    match error:
        case WireError():
            return Response(envelope([], error.code, error.message), headers=error.headers)
        case Refused():
            return exception_response(WireError.of(error), context)
        case ValidationError():
            return exception_response(WireError.invalid(error), context)
        case RequestDataTooBig():
            return exception_response(WireError(Code.PARAMETER, _("The request body is too large.")), context)
        case UnreadablePostError():
            return exception_response(
                WireError(Code.PARAMETER, _("The request body cannot be read.")), context
            )
        case APIException():
            return exception_response(WireError(Code.PARAMETER, str(error.detail)), context)
    log.exception("Unexpected error in %s", context["request"].path, exc_info=error)
    return exception_response(WireError(Code.GENERATION, _("Internal error.")), context)
