"""Every answer is an envelope whose code is a text: "200" or "400". Its HTTP status is 200, as the vendor's clients demand."""

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
)
from telemetry import counters

from .field_names import Names, in_wire_words

log = logging.getLogger(__name__)

MOST_COMPLAINTS = 5


def success(data: Any) -> Response:
    return Response(enveloped(data))


def enveloped(data: Any) -> dict[str, Any]:
    return {"code": "200", "msg": "success", "data": data}


class WireError(Exception):
    """``status`` is what HTTP has for it, for those who set ZHIQITE_HTTP_ERRORS."""

    def __init__(
        self, message: str, *, status: int = 400, told: bool = True, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.data = {"errorMessage": message} if told else None
        self.headers = headers or {}

    @classmethod
    def unknown_task(cls) -> WireError:
        return cls(_("There is no such task."), status=404, told=False)

    @classmethod
    def invalid(cls, error: ValidationError) -> WireError:
        """What was sent is not given back: it may be large, or a secret."""
        found = error.errors(include_url=False, include_context=False, include_input=False)
        complaints = [f"{_place(each['loc'])}: {each['msg']}" for each in found[:MOST_COMPLAINTS]]
        return cls("; ".join(complaints))

    @classmethod
    def of(cls, refused: Refused, names: Names) -> WireError:
        """In the words of the vendor's fields."""
        counters.refusals.labels(dialect="zhiqite", reason=refused.code).inc()
        headers = {"Retry-After": str(refused.retry_after)} if refused.retry_after else {}
        status = 429 if refused.retry_after else STATUSES.get(type(refused), 400)
        return cls(in_wire_words(refused.message, refused.field, names), status=status, headers=headers)

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
}


def _place(location: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in location) or "body"


def answer(error: Exception, context: dict[str, Any]) -> Response:
    """Rest framework's exception handler for this dialect. Nothing of an unforeseen error reaches the client."""
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
            return WireError(_("This address takes POST."), status=405).response()
        case APIException():
            return WireError(str(error.detail), status=error.status_code).response()
    log.exception("Unforeseen error in %s", context["request"].path, exc_info=error)
    return WireError(_("Internal error."), status=500).response()
