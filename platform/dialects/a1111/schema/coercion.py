"""Value coercion with pydantic v1's rules and error messages, on which A1111's clients rely."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from dialects.a1111.errors import Invalid, InvalidItems

Coercion = Callable[[Any], Any]

TRUE = frozenset({1, "1", "on", "t", "true", "y", "yes"})
FALSE = frozenset({0, "0", "off", "f", "false", "n", "no"})


def integer(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise Invalid("value is not a valid integer", "type_error.integer") from None


def number(value: Any) -> float:
    try:
        read = float(value)
    except (TypeError, ValueError, OverflowError):
        read = math.nan
    # pydantic accepts NaN and infinity, but JSON cannot represent them and no setting uses them.
    if not math.isfinite(read):
        raise Invalid("value is not a valid float", "type_error.float")
    return read


def string(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return str(value)
    raise Invalid("str type expected", "type_error.str")


def boolean(value: Any) -> bool:
    normalized = value.lower() if isinstance(value, str) else value
    if isinstance(normalized, str | int | float):
        if normalized in TRUE:
            return True
        if normalized in FALSE:
            return False
    raise Invalid("value could not be parsed to a boolean", "type_error.bool")


def array(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    raise Invalid("value is not a valid list", "type_error.list")


def mapping(value: Any) -> dict[str, Any]:
    """Coerce to a dict with the rules of ``dict()``: an empty list is an empty object."""
    try:
        return dict(value)
    except (TypeError, ValueError):
        raise Invalid("value is not a valid dict", "type_error.dict") from None


def strings(value: Any) -> list[str]:
    read: list[str] = []
    errors: dict[int, Invalid] = {}
    for index, item in enumerate(array(value)):
        try:
            read.append(string(not_null(item)))
        except Invalid as error:
            errors[index] = error
    if errors:
        raise InvalidItems(errors)
    return read


def not_null(value: Any) -> Any:
    if value is None:
        raise Invalid("none is not an allowed value", "type_error.none.not_allowed")
    return value
