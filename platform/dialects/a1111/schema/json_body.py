"""The JSON body of a request, as FastAPI reads it."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from django.http import HttpRequest
from django.utils.translation import gettext as _

from dialects.a1111.errors import Invalid, Location, Unprocessable, unreadable

from .coercion import mapping

MOST_LEVELS = 100  # of lists and objects within each other; whoever copies them later recurses, too
QUOTED = 1000  # characters of a broken body that the answer gives back
BODY: Location = ("body",)


def read_object(request: HttpRequest) -> dict[str, Any]:
    """The body's JSON object. Without a content type it is taken for JSON; with any other it is no object."""
    value = read_json(request)
    try:
        return _storable(mapping(value))
    except Invalid as error:
        raise Unprocessable([error.at(BODY)]) from None


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
        text = data.decode("utf-8-sig")
        return json.loads(text, parse_float=_finite, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise Unprocessable([_broken_json(error)]) from None
    except (ValueError, RecursionError):  # not UTF-8, a number of thousands of digits, ten thousand brackets
        raise unreadable() from None


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number too large")
    return number


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def _broken_json(error: json.JSONDecodeError) -> dict[str, Any]:
    place = {"pos": error.pos, "lineno": error.lineno, "colno": error.colno}
    context = {"msg": error.msg, "doc": error.doc[:QUOTED], **place}
    return Invalid(str(error), "value_error.jsondecode", context).at((*BODY, error.pos))


def _storable(value: dict[str, Any]) -> dict[str, Any]:
    """Refuses text that databases and UTF-8 cannot hold, wherever it is, before it meets one of them."""
    _check_text(value, BODY)
    return value


def _check_text(value: Any, location: Location) -> None:
    if len(location) > MOST_LEVELS:
        raise unreadable()
    if isinstance(value, str) and not _is_plain(value):
        message = _("text may not contain NUL or half of a surrogate pair")
        raise Unprocessable.at(location, message, "value_error.str")
    if isinstance(value, list):
        for index, item in enumerate(value):
            _check_text(item, (*location, index))
    elif isinstance(value, dict):
        for name, item in value.items():
            _check_text(name, location)
            _check_text(item, (*location, name))


def _is_plain(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
