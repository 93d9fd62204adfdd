"""Error bodies of A1111: FastAPI's 422 list for invalid fields, an error object for everything else."""

from __future__ import annotations

import logging
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import UnreadablePostError
from django.utils.translation import gettext as _
from rest_framework.exceptions import APIException, MethodNotAllowed
from rest_framework.response import Response

log = logging.getLogger(__name__)


class WireError(Exception):
    """Error response with a status code and A1111's error object for exceptions in a handler."""

    def __init__(
        self,
        status: int,
        *,
        error: str = "HTTPException",
        detail: str = "",
        errors: str = "",
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail or errors)
        self.status = status
        self.headers = headers or {}
        self.body = {"error": error, "detail": detail, "body": "", "errors": errors, **more}


class Unprocessable(Exception):
    """422 error with FastAPI's list, one entry per invalid value."""

    def __init__(self, entries: list[dict[str, Any]]) -> None:
        super().__init__(str(entries))
        self.entries = entries

    @classmethod
    def at(cls, location: Location, msg: str, type: str, ctx: dict[str, Any] | None = None) -> Unprocessable:
        return cls([Invalid(msg, type, ctx).at(location)])

    @classmethod
    def unsupported(cls, location: Location, why: str) -> Unprocessable:
        return cls.at(location, why, "value_error.unsupported")


def model_not_found(name: str) -> WireError:
    return WireError(500, error="RuntimeError", errors=f"model {name!r} not found")


def unreadable() -> WireError:
    return WireError(400, detail="There was an error parsing the body")


def exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """Exception handler of this dialect. Details of unexpected errors are not sent to the client."""
    match error:
        case WireError():
            return Response(error.body, status=error.status, headers=error.headers)
        case Unprocessable():
            return Response({"detail": error.entries}, status=422)
        case RequestDataTooBig():
            return exception_handler(WireError(413, detail=_("The request body is too large.")), context)
        case UnreadablePostError():
            return exception_handler(unreadable(), context)
        case MethodNotAllowed():
            return Response({"detail": "Method Not Allowed"}, status=405)
        case APIException():
            return exception_handler(WireError(error.status_code, detail=str(error.detail)), context)
    log.exception("Unexpected error in %s", context["request"].path, exc_info=error)
    return exception_handler(WireError(500, error="InternalError", errors=_("Internal error.")), context)


Location = tuple[str | int, ...]


def path_of(location: Location) -> str:
    """A location in the body as text: ``alwayson_scripts.controlnet.args[0].image``."""
    parts = location[1:] if location[:1] == ("body",) else location
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).removeprefix(".")


class Invalid(ValueError):
    """One invalid value: an entry of the 422 response without its location."""

    def __init__(self, msg: str, type: str, ctx: dict[str, Any] | None = None) -> None:
        super().__init__(msg)
        self.entry: dict[str, Any] = {"msg": msg, "type": type} | ({"ctx": ctx} if ctx else {})

    def at(self, location: Location) -> dict[str, Any]:
        return {"loc": list(location), **self.entry}


class InvalidItems(ValueError):
    """Invalid items of a list, by index."""

    def __init__(self, errors: dict[int, Invalid]) -> None:
        super().__init__("invalid items")
        self.errors = errors

    def at(self, location: Location) -> list[dict[str, Any]]:
        return [error.at((*location, index)) for index, error in self.errors.items()]
