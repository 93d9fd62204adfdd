"""The lax reading of values that this API's clients rely on: numbers and switches as texts, and nothing as null or ""."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from dialects.http import is_storable

Coercion = Callable[[Any], Any]

TRUE = frozenset({"yes", "true", "1", "on", "y"})
FALSE = frozenset({"no", "false", "0", "off", "n"})
MOST_DIGITS = 40  # of a number; whatever is longer is none that anybody means
MOST_NAMES = 32


class Invalid(ValueError):
    """``words`` follow the field's name in the message."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


def is_absent(value: Any) -> bool:
    """As Laravel trims texts, and takes empty ones for null."""
    return value is None or (isinstance(value, str) and not value.strip())


def text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Invalid("must be a string.")
    read = str(value).strip()
    if not is_storable(read):
        raise Invalid("contains characters that cannot be stored.")
    return read


def short_text(value: Any) -> str:
    read = text(value)
    if len(read) > 255:
        raise Invalid("must not be greater than 255 characters.")
    return read


def number(value: Any) -> float:
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        if isinstance(value, str) and (
            "_" in value or len(value) > MOST_DIGITS
        ):  # Python's 1_000 is nobody else's
            raise ValueError
        read = float(value)
    except (ValueError, OverflowError):
        read = math.nan
    if not math.isfinite(read):
        raise Invalid("must be a number.")
    return read


def integer(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        read = number(value)
    except Invalid:
        read = math.nan
    if not read.is_integer():
        raise Invalid("must be an integer.")
    return int(read)


def flag(value: Any) -> bool:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    word = str(value).strip().lower() if isinstance(value, str | int | bool) else ""
    if word in TRUE or word in FALSE:
        return word in TRUE
    raise Invalid("must be true or false.")


def names(value: Any) -> list[str]:
    """A list, or a text with commas."""
    items = value if isinstance(value, list) else text(value).split(",")
    read = [short_text(item) for item in items if not is_absent(item)]
    if len(read) > MOST_NAMES:
        raise Invalid(f"must not have more than {MOST_NAMES} items.")
    return read


def numbers(value: Any) -> list[float]:
    if isinstance(value, str):
        value = value.split(",")
    items = value if isinstance(value, list) else [value]
    if len(items) > MOST_NAMES:
        raise Invalid(f"must not have more than {MOST_NAMES} items.")
    return [number(item) for item in items if not is_absent(item)]


def track_id(value: Any) -> str | int | float:
    """Given back as it came."""
    if isinstance(value, int) and not isinstance(value, bool) and len(str(abs(value))) <= MOST_DIGITS:
        return value
    return number(value) if isinstance(value, float) else short_text(value)


def between(coerce: Callable[[Any], Any], least: float, most: float) -> Coercion:
    """Of a number, or of every number of a list."""

    def read(value: Any) -> Any:
        found = coerce(value)
        for each in found if isinstance(found, list) else [found]:
            if each < least:
                raise Invalid(f"must be at least {least:.10g}.")
            if each > most:
                raise Invalid(f"must not be greater than {most:.10g}.")
        return found

    return read


def one_of(*words: str) -> Coercion:
    def read(value: Any) -> str:
        found = text(value).lower()
        if found not in words:
            raise Invalid(f"must be one of: {', '.join(words)}.")
        return found

    return read
