"""Error responses: problem documents (RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation, TooManyFilesSent
from django.http import UnreadablePostError
from django.utils.translation import gettext as _
from pydantic import BaseModel, Field, ValidationError
from rest_framework.exceptions import APIException, MethodNotAllowed, ParseError
from rest_framework.response import Response

from jobs.errors import Refused
from telemetry import counters

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
# Code of Refused -> HTTP status; 422 for all others.
REFUSED = {
    "queue_full": 429,
    "rate_limited": 429,
    "quota_exhausted": 429,
    "budget_exhausted": 402,
    "model_not_allowed": 403,
    "source_disabled": 403,
    "idempotency_conflict": 409,
    "text_model_failed": 503,
    "model_exists": 409,
}
FIELDS = {"callback": "callback_url"}  # field of a submission -> field of this API, where they differ


class FieldError(BaseModel):
    """A validation error, and its location in the request."""

    loc: list[str | int]
    msg: str
    type: str


class ProblemDocument(BaseModel):
    """A problem document. Members without a value are left out."""

    type: str = Field(examples=["urn:atelier:problem:queue_full"])
    title: str
    status: int
    detail: str
    code: str = Field(description="Stable, for programs; title and detail may change.")
    field: str | None = Field(default=None, description="Field of the request that caused the error.")
    retry_after: int | None = Field(default=None, description="Seconds, as in the header Retry-After.")
    job_id: str | None = None
    errors: list[FieldError] | None = None


class Problem(Exception):
    """An error response. ``more`` are further members of the document: field, retry_after, job_id."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[FieldError] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})
        self.document = ProblemDocument(
            type=f"urn:atelier:problem:{code}",
            title=HTTPStatus(status).phrase,
            status=status,
            detail=detail,
            code=code,
            errors=list(errors) if errors else None,
            **more,
        )

    @classmethod
    def of(cls, refused: Refused) -> Problem:
        counters.refusals.labels(dialect="native", reason=refused.code).inc()
        status = REFUSED.get(refused.code, 429 if refused.retry_after else 422)
        headers = {"Retry-After": str(refused.retry_after)} if refused.retry_after else {}
        problems = [
            FieldError(loc=[problem.file] if problem.file else [], msg=problem.message, type=refused.code)
            for problem in getattr(refused, "problems", ())
        ]
        members: dict[str, Any] = {
            "errors": problems,
            "field": FIELDS.get(refused.field or "", refused.field),
            "retry_after": refused.retry_after,
        }
        return cls(status, refused.code, refused.message, headers=headers, **members)

    @classmethod
    def invalid(cls, error: ValidationError) -> Problem:
        """From validation errors. Values of the request are not repeated: they may be large or secret."""
        details = error.errors(include_url=False, include_context=False, include_input=False)
        errors = [
            FieldError(loc=list(detail["loc"]), msg=detail["msg"], type=detail["type"]) for detail in details
        ]
        return cls.unprocessable(errors)

    @classmethod
    def unprocessable(cls, errors: Sequence[FieldError]) -> Problem:
        first = errors[0].loc
        detail = _("Validation failed.")
        return cls(422, "invalid", detail, errors=errors, field=".".join(str(part) for part in first) or None)

    @classmethod
    def not_found(cls) -> Problem:
        return cls(404, "not_found", _("Not found."))

    def response(self) -> Response:
        body = self.document.model_dump(mode="json", exclude_none=True)
        return Response(body, status=self.status, headers=self.headers, content_type=MEDIA_TYPE)


def exception_response(error: Exception, context: dict[str, Any]) -> Response:
    """Exception handler of this dialect's views. Unexpected exceptions are logged; the client gets no details."""
    match error:
        case Problem():
            return error.response()
        case Refused():
            return Problem.of(error).response()
        case ValidationError():
            return Problem.invalid(error).response()
        case RequestDataTooBig():
            return too_large().response()
        case TooManyFilesSent():
            words = {"limit": settings.DATA_UPLOAD_MAX_NUMBER_FILES}
            detail = _("A form must have at most %(limit)d files.") % words
            return Problem(413, "too_many_files", detail).response()
        case SuspiciousOperation() | UnreadablePostError() | ParseError():
            return Problem(400, "malformed_body", _("The request body cannot be read.")).response()
        case MethodNotAllowed():
            return Problem(405, "method_not_allowed", _("Method not allowed.")).response()
        case APIException():
            return Problem(error.status_code, str(error.default_code), str(error.detail)).response()
    log.exception("Unexpected error in %s", context["request"].path, exc_info=error)
    return Problem(500, "internal", _("Internal error.")).response()


def too_large() -> Problem:
    return Problem(413, "too_large", _("The request body is too large."))
