"""Lax coercion of values, as clients of this API expect: numbers as strings, lists as JSON or comma-separated strings."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from dialects.http import InvalidJSON, UnstorableText, check_text, parse_json
from dialects.smzdm.errors import Code, WireError

FLAGS = {"true": True, "1": True, "false": False, "0": False}
INTEGER = re.compile(r"[+-]?[0-9]{1,19}(\.0{1,9})?")
NUMBER = re.compile(r"[+-]?[0-9]{1,19}(\.[0-9]{1,19})?")


def _type_error(message: str) -> PydanticCustomError:
    return PydanticCustomError("wrong_type", message)


def _flag(value: Any) -> bool:
    flag = FLAGS.get(str(value).strip().lower()) if isinstance(value, bool | int | str) else None
    if flag is None:
        raise _type_error('must be "True" or "False"')
    return flag


def _integer(value: Any) -> int:
    text = "" if isinstance(value, bool) else str(value).strip()
    if not INTEGER.fullmatch(text):
        raise _type_error("must be an integer")
    return int(text.partition(".")[0])


def _number(value: Any) -> float:
    text = "" if isinstance(value, bool) else str(value).strip()
    if not NUMBER.fullmatch(text):
        raise _type_error("must be a number")
    return float(text)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _type_error("must be a string")
    return value.strip()


def _channel(value: Any) -> str:
    return str(_integer(value)) if isinstance(value, int | float) else _text(value)


def _list(value: Any) -> list[Any]:
    """A list, its JSON, a string with commas, or a single value."""
    if not isinstance(value, str):
        return value if isinstance(value, list) else [value]
    text = value.strip()
    if text.startswith("["):
        parsed = _parsed(text)
        return parsed if isinstance(parsed, list) else [text]
    return [part.strip() for part in text.split(",") if part.strip()]


def _object(value: Any) -> Any:
    """An object or its JSON; None if it is empty."""
    parsed = _parsed(value) if isinstance(value, str) else value
    if not isinstance(parsed, dict):
        raise _type_error("must be an object")
    return {name: part for name, part in parsed.items() if part is not None and part != ""} or None


def _parsed(text: str) -> Any:
    try:
        value = parse_json(text)
        check_text(value)
    except InvalidJSON:
        raise _type_error("must be JSON") from None
    except UnstorableText as error:
        raise WireError(Code.PARAMETER, error.message) from None
    return value


Flag = Annotated[bool, BeforeValidator(_flag)]
Integer = Annotated[int, BeforeValidator(_integer)]
Number = Annotated[float, BeforeValidator(_number)]
Text = Annotated[str, BeforeValidator(_text)]
Channel = Annotated[str, BeforeValidator(_channel), Field(min_length=1, max_length=64)]
List = BeforeValidator(_list)
Object = BeforeValidator(_object)
