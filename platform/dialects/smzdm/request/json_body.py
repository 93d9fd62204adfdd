"""The JSON body of a request. What is null or empty counts as not sent: clients send every field of a form."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from django.http import HttpRequest
from django.utils.translation import gettext as _

from dialects.smzdm.errors import Code, WireError

MOST_LEVELS = 100  # of lists and objects within each other; nobody means more


def read_object(request: HttpRequest) -> dict[str, Any]:
    value = _decoded(request.body)
    if not isinstance(value, dict):
        raise WireError(Code.PARAMETER, _("Send a JSON object."))
    return {name: part for name, part in value.items() if part is not None and part != ""}


def _decoded(data: bytes) -> Any:
    try:
        return from_json_text(data.decode("utf-8-sig"))
    except ValueError:
        raise WireError(Code.PARAMETER, _("The body is not JSON.")) from None


def from_json_text(text: str) -> Any:
    """Raises ValueError for what is no JSON, and WireError for text that cannot be stored."""
    try:
        value = json.loads(text, parse_float=_finite, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not _is_plain(value):
        raise WireError(Code.PARAMETER, _("Text may not contain NUL or half of a surrogate pair."))
    return value


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number too large")
    return number


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def _is_plain(value: Any, levels: int = MOST_LEVELS) -> bool:
    """Whether databases and UTF-8 can hold all of its text."""
    if not levels:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        return "\0" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, dict):
        return all(_is_plain(name) and _is_plain(part, levels - 1) for name, part in value.items())
    return not isinstance(value, list) or all(_is_plain(part, levels - 1) for part in value)
