"""Lax coercion of values, as clients of this API expect: numbers and booleans may be strings, null and "" are absent."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dialects.http import is_storable

Coercion = Callable[[Any], Any]

TRUE = frozenset({"yes", "true", "1", "on", "y"})
FALSE = frozenset({"no", "false", "0", "off", "n"})
INTEGER = re.compile(r"[+-]?[0-9]+")
MAX_DIGITS = 40  # of a number
MAX_ITEMS = 32


class Invalid(ValueError):
    """An invalid value. ``reason`` follows the field's name in the message: "must be an integer."."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def is_absent(value: Any) -> bool:
    """Whether a value is null or blank. Laravel trims strings, and converts empty ones to null."""
    return value is None or (isinstance(value, str) and not value.strip())


def text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Invalid("must be a string.")
    parsed = str(value).strip()
    if not is_storable(parsed):
        raise Invalid("contains characters that cannot be stored.")
    return parsed


def short_text(value: Any) -> str:
    parsed = text(value)
    if len(parsed) > 255:
        raise Invalid("must not be greater than 255 characters.")
    return parsed


def number(value: Any) -> float:
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        # float() accepts underscores, as in 1_000, which is Python syntax only.
        if isinstance(value, str) and ("_" in value or len(value) > MAX_DIGITS):
            raise ValueError
        parsed = float(value)
    except (ValueError, OverflowError):
        parsed = math.nan
    if not math.isfinite(parsed):
        raise Invalid("must be a number.")
    return parsed


def integer(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and len(value) <= MAX_DIGITS and INTEGER.fullmatch(value.strip()):
        return int(value)  # exact: a float has 53 bits
    try:
        parsed = number(value)
    except Invalid:
        parsed = math.nan
    if not parsed.is_integer():
        raise Invalid("must be an integer.")
    return int(parsed)


def flag(value: Any) -> bool:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    lowered = str(value).strip().lower() if isinstance(value, str | int | bool) else ""
    if lowered in TRUE or lowered in FALSE:
        return lowered in TRUE
    raise Invalid("must be true or false.")


def names(value: Any) -> list[str]:
    """A list of strings, or a string with commas."""
    items = value if isinstance(value, list) else text(value).split(",")
    parsed = [short_text(item) for item in items if not is_absent(item)]
    if len(parsed) > MAX_ITEMS:
        raise Invalid(f"must not have more than {MAX_ITEMS} items.")
    return parsed


def numbers(value: Any) -> list[float]:
    """A list of numbers, a number, or a string with commas."""
    if isinstance(value, str):
        value = value.split(",")
    items = value if isinstance(value, list) else [value]
    if len(items) > MAX_ITEMS:
        raise Invalid(f"must not have more than {MAX_ITEMS} items.")
    return [number(item) for item in items if not is_absent(item)]


def track_id(value: Any) -> str | int | float:
    """A client's identifier, which is returned with its type unchanged."""
    if isinstance(value, int) and not isinstance(value, bool) and len(str(abs(value))) <= MAX_DIGITS:
        return value
    return number(value) if isinstance(value, float) else short_text(value)


@dataclass(frozen=True)
class Between:
    """Limits a number, or every number of a list."""

    coerce: Coercion
    minimum: float
    maximum: float

    def __call__(self, value: Any) -> Any:
        coerced = self.coerce(value)
        for item in coerced if isinstance(coerced, list) else [coerced]:
            if item < self.minimum:
                raise Invalid(f"must be at least {self.minimum}.")
            if item > self.maximum:
                raise Invalid(f"must not be greater than {self.maximum}.")
        return coerced


@dataclass(frozen=True)
class OneOf:
    """A string of the choices, in any case."""

    choices: tuple[str, ...]

    def __call__(self, value: Any) -> str:
        coerced = text(value).lower()
        if coerced not in self.choices:
            raise Invalid(f"must be one of: {', '.join(self.choices)}.")
        return coerced


def between(coerce: Coercion, minimum: float, maximum: float) -> Coercion:
    return Between(coerce, minimum, maximum)


def one_of(*choices: str) -> Coercion:
    return OneOf(choices)
