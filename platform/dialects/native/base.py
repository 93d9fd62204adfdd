"""Base views of the native API."""

from __future__ import annotations

from pydantic import BaseModel
from rest_framework.response import Response

from dialects.http import OUTAGE_RETRY_S, DialectView, NotFoundView

from .authentication import KeyAndSecret
from .console_session import ConsoleSession
from .errors import Problem, exception_response


class NativeView(DialectView):
    http_method_names = ["get", "post", "delete", "head"]
    authentication_classes = [ConsoleSession, KeyAndSecret]
    error_response = staticmethod(exception_response)

    def unavailable(self, message: str) -> Problem:
        headers = {"Retry-After": str(OUTAGE_RETRY_S)}
        return Problem(503, "unavailable", message, headers=headers, retry_after=OUTAGE_RETRY_S)


class NotFound(NotFoundView, NativeView):
    def not_found(self) -> Exception:
        return Problem.not_found()


def json_response(document: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(document.model_dump(mode="json"), status=status, headers=headers)
