"""The JSON body of a request, as FastAPI reads it."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest

from dialects.a1111.errors import Invalid, Location, Unprocessable, unreadable
from dialects.http import InvalidJSON, UnstorableText, check_text, parse_json

from .coercion import mapping

QUOTED = 1000  # characters of a broken body that the answer gives back
BODY: Location = ("body",)


def read_object(request: HttpRequest) -> dict[str, Any]:
    """The body's JSON object. Without a content type it is taken for JSON; with any other it is no object."""
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
    place = {"pos": error.pos, "lineno": error.lineno, "colno": error.colno}
    context = {"msg": error.msg, "doc": error.doc[:QUOTED], **place}
    return Invalid(str(error), "value_error.jsondecode", context).at((*BODY, error.pos))
