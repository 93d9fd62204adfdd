"""One envelope for everything: ``{"error_code", "error_msg", "data"}``, with HTTP 200 whatever it says."""

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
    OK = 0
    PARAMETER = 1001
    PICTURE = 1002
    MODEL = 1003
    GENERATION = 1004
    BUSY = 1005
    CALLER = 1006
    UNSUPPORTED = 1007


REFUSED = {
    "unknown_model": Code.MODEL,
    "bad_picture": Code.PICTURE,
    "queue_full": Code.BUSY,
    "rate_limited": Code.BUSY,
    "quota_exhausted": Code.BUSY,
    "budget_exhausted": Code.CALLER,
    "model_not_allowed": Code.MODEL,
    "source_disabled": Code.CALLER,
    "unsupported": Code.UNSUPPORTED,
}  # by code; PARAMETER for all others
FIELDS = {  # what the jobs call otherwise
    "callback": "callback_url",
    "num_images": "batch_size",
    "num_inference_steps": "steps",
}


class WireError(Exception):
    def __init__(self, code: Code, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.code, self.message = code, message
        self.headers = {"Retry-After": str(retry_after)} if retry_after else {}

    @classmethod
    def of(cls, refused: Refused) -> WireError:
        counters.refusals.labels(dialect="smzdm", reason=refused.code).inc()
        code = REFUSED.get(refused.code, Code.PARAMETER)
        return cls(code, _in_wire_words(refused), refused.retry_after)

    @classmethod
    def invalid(cls, error: ValidationError) -> WireError:
        """The first thing that is wrong. What was sent is not given back."""
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] in ("missing", "too_short"):
            return cls(Code.PARAMETER, _("%(field)s is missing.") % {"field": name})
        if first["type"] == "too_long":
            words = {"field": name, "limit": first["ctx"]["max_length"]}
            return cls(Code.PARAMETER, _("%(field)s may not be longer than %(limit)d.") % words)
        return cls(Code.PARAMETER, f"{name}: {first['msg']}" if name else first["msg"])


def _in_wire_words(refused: Refused) -> str:
    field = refused.field or ""
    name = FIELDS.get(field)
    if name is None:
        return refused.message
    if field in refused.message:
        return refused.message.replace(field, name)
    return f"{name}: {refused.message}"


def envelope(data: Any, code: Code = Code.OK, message: str = "") -> dict[str, Any]:
    return {"error_code": int(code), "error_msg": message, "data": data}


def answer(error: Exception, context: dict[str, Any]) -> Response:
    """Rest framework's exception handler for this dialect. Nothing of an unforeseen error reaches the client."""
    match error:
        case WireError():
            return Response(envelope([], error.code, error.message), headers=error.headers)
        case Refused():
            return answer(WireError.of(error), context)
        case ValidationError():
            return answer(WireError.invalid(error), context)
        case RequestDataTooBig():
            return answer(WireError(Code.PARAMETER, _("The request body is too large.")), context)
        case UnreadablePostError():
            return answer(WireError(Code.PARAMETER, _("The request body cannot be read.")), context)
        case APIException():
            return answer(WireError(Code.PARAMETER, str(error.detail)), context)
    log.exception("Unforeseen error in %s", context["request"].path, exc_info=error)
    return answer(WireError(Code.GENERATION, _("Internal error.")), context)
