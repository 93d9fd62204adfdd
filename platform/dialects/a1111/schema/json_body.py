"""Parse a JSON request body as FastAPI does."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest

from dialects.a1111.errors import Invalid, Location, Unprocessable, unreadable
from dialects.http import InvalidJSON, UnstorableText, check_text, parse_json

from .coercion import mapping

MAX_QUOTED = 1000  # maximum characters of an invalid body that the error response quotes
BODY: Location = ("body",)


def read_object(request: HttpRequest) -> dict[str, Any]:
    """Parse the JSON object of the body. A missing content type means JSON; any other type is an error."""
    value = read_json(request)
    try:
        read = mapping(value)
        check_text(read, BODY)
    except Invalid as error:
        raise Unprocessable([error.at(BODY)]) from None
    except UnstorableText as error:
        raise Unprocessable.at(error.location, error.message, "value_error.str") from None
    return read


def read_json(request: HttpRequest) -> Any:
    data = request.body
    if not data:
        raise Unprocessable.at(BODY, "field required", "value_error.missing")
    value = _decode(data) if _is_json(request.content_type or "") else data
    if value is None:
        raise Unprocessable.at(BODY, "field required", "value_error.missing")
    return value


def _is_json(content_type: str) -> bool:
    kind = content_type.lower()
    return (
        not kind or kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
    )


def _decode(data: bytes) -> Any:
    try:
        return parse_json(data)
    except InvalidJSON as error:
        if isinstance(error.__cause__, json.JSONDecodeError):
            raise Unprocessable([_broken_json(error.__cause__)]) from None
        raise unreadable() from None


def _broken_json(error: json.JSONDecodeError) -> dict[str, Any]:
    position = {"pos": error.pos, "lineno": error.lineno, "colno": error.colno}
    context = {"msg": error.msg, "doc": error.doc[:MAX_QUOTED], **position}
    return Invalid(str(error), "value_error.jsondecode", context).at((*BODY, error.pos))
