"""Query parameters and single fields of a JSON body, parsed with A1111's coercions."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request

from dialects.a1111.errors import Invalid, Unprocessable

from .coercion import Coercion


def query_value(request: Request, name: str, coerce: Coercion, default: Any) -> Any:
    return _value(request.query_params, "query", name, coerce, default)


def body_value(body: dict[str, Any], name: str, coerce: Coercion, default: Any) -> Any:
    return _value(body, "body", name, coerce, default)


def _value(values: Any, source: str, name: str, coerce: Coercion, default: Any) -> Any:
    value = values.get(name)
    try:
        return default if value is None else coerce(value)
    except Invalid as error:
        raise Unprocessable([error.at((source, name))]) from None
