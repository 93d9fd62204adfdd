"""Response envelope and errors. ``code`` is a string, "200" or "400".

The HTTP status is 200 for errors too, because clients of the vendor require it; ZHIQITE_HTTP_ERRORS changes that.
"""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import UnreadablePostError
from django.utils.translation import gettext as _
from pydantic import ValidationError
from rest_framework.exceptions import APIException, MethodNotAllowed
from rest_framework.response import Response

from jobs.errors import (
    BadIdempotencyKey,
    BudgetSpent,
    IdempotencyConflict,
    ModelNotAllowed,
    QuotaSpent,
    Refused,
    SourceDisabled,
    TextModelFailed,
    TextModelMissing,
)
from telemetry import counters

from .field_names import Names

log = logging.getLogger(__name__)

MAX_ERRORS = 5


def success(data: Any) -> Response:
    """A success response."""
    return Response(enveloped(data))


def enveloped(data: Any) -> dict[str, Any]:
    """The success envelope around ``data``."""
    return {"code": "200", "msg": "success", "data": data}


class WireError(Exception):
    """An error response. ``status`` is its HTTP status if ZHIQITE_HTTP_ERRORS is set, else that is 200."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        with_data: bool = True,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.data = {"errorMessage": message} if with_data else None
        self.headers = headers or {}

    @classmethod
    def unknown_task(cls) -> WireError:
        return cls(_("Task not found."), status=404, with_data=False)

    @classmethod
    def invalid(cls, error: ValidationError) -> WireError:
        """From the first validation errors. Values of the request are not repeated: they may be large or secret."""
        details = error.errors(include_url=False, include_context=False, include_input=False)
        messages = [f"{_location(detail['loc'])}: {detail['msg']}" for detail in details[:MAX_ERRORS]]
        return cls("; ".join(messages))

    @classmethod
    def of(cls, refused: Refused, names: Names) -> WireError:
        """From a refusal, with the vendor's field names."""
        counters.refusals.labels(dialect="zhiqite", reason=refused.code).inc()
        headers = {"Retry-After": str(refused.retry_after)} if refused.retry_after else {}
        status = STATUSES.get(type(refused), 429 if refused.retry_after else 400)
        field = refused.field or ""
        return cls(refused.message_naming(names.get(field, field)), status=status, headers=headers)

    def response(self) -> Response:
        status = self.status if settings.ZHIQITE_HTTP_ERRORS else 200
        body = {"code": "400", "msg": self.message, "data": self.data}
        return Response(body, status=status, headers=self.headers)


STATUSES: dict[type[Refused], int] = {
    BadIdempotencyKey: 400,
    BudgetSpent: 402,
    IdempotencyConflict: 409,
    ModelNotAllowed: 403,
    QuotaSpent: 429,
    SourceDisabled: 403,
    TextModelFailed: 503,
    TextModelMissing: 501,
}


def _location(location: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in location) or "body"


def exception_response(error: Exception, context: dict[str, Any]) -> Response:
    """Exception handler of this dialect's views. Unexpected exceptions are logged; the client gets no details."""
    match error:
        case WireError():
            return error.response()
        case Refused():
            return WireError.of(error, context["view"].wire_names).response()
        case ValidationError():
            return WireError.invalid(error).response()
        case RequestDataTooBig():
            return WireError(_("The request body is too large."), status=413).response()
        case SuspiciousOperation() | UnreadablePostError():
            return WireError(_("The request body cannot be read.")).response()
        case MethodNotAllowed():
            return WireError(_("Method not allowed. Use POST."), status=405).response()
        case APIException():
            return WireError(str(error.detail), status=error.status_code).response()
    log.exception("Unexpected error in %s", context["request"].path, exc_info=error)
    return WireError(_("Internal error."), status=500).response()
