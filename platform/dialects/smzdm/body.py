"""The JSON body of a request. What is null or empty counts as not sent: clients send every field of a form."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from django.http import HttpRequest
from django.utils.translation import gettext as _

from .errors import Code, WireError


def read_object(request: HttpRequest) -> dict[str, Any]:
    value = _decoded(request.body)
    if not isinstance(value, dict):
        raise WireError(Code.PARAMETER, _("Send a JSON object."))
    if not _is_plain(value):
        raise WireError(Code.PARAMETER, _("Text may not contain NUL or half of a surrogate pair."))
    return {name: part for name, part in value.items() if part is not None and part != ""}


def _decoded(data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8-sig"), parse_float=_finite, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise WireError(Code.PARAMETER, _("The body is not JSON.")) from None


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number too large")
    return number


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def _is_plain(value: Any) -> bool:
    """Whether databases and UTF-8 can hold all of its text."""
    if isinstance(value, str):
        return "\0" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(_is_plain(name) and _is_plain(part) for name, part in value.items())
    return True
