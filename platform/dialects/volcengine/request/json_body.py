"""The JSON object that a client sent, and its members, read as the vendor's service reads them."""

from __future__ import annotations

import math
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _

from dialects.http import InvalidJSON, NotAnObject, UnstorableText, check_text, parse_object
from dialects.volcengine.errors import ServiceError

COMMON = frozenset({"Action", "Version"})


def read_object(request: HttpRequest) -> Body:
    """Of a GET, its query is the object."""
    if request.method == "GET":
        given = {name: value for name, value in request.GET.items() if name not in COMMON}
        try:
            check_text(given)
        except UnstorableText as error:
            raise ServiceError(50204, error.message) from None
        return Body({name: value for name, value in given.items() if not name.startswith("X-")})
    return parsed(request.body or b"{}")


def parsed(data: bytes | str, within: str = "") -> Body:
    told = within.removesuffix(".") or _("the body")
    try:
        return Body(parse_object(data), within)
    except InvalidJSON:
        raise ServiceError(50204, _("%(part)s is not JSON") % {"part": told}) from None
    except NotAnObject:
        raise ServiceError(50204, _("%(part)s is not a JSON object") % {"part": told}) from None
    except UnstorableText as error:
        raise ServiceError(50204, error.message) from None


class Body:
    """Absent and null are the same. A wrong type is 50204, a wrong value 50200, a missing one 50201."""

    def __init__(self, values: dict[str, Any], within: str = "") -> None:
        self._values = {name: value for name, value in values.items() if value is not None}
        self._within = within

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def raw(self, name: str) -> Any:
        return self._values.get(name)

    def replaced(self, **values: Any) -> Body:
        return Body({**self._values, **values}, self._within)

    def text(self, name: str, default: str = "") -> str:
        value = self._values.get(name, default)
        if value == []:  # the vendor's own examples send this for an empty prompt
            return ""
        return value if isinstance(value, str) else self._wrong_type(name, "string")

    def needed(self, name: str) -> str:
        text = self.text(name)
        if not text.strip():
            raise ServiceError(50201, _("%(name)s is required") % {"name": self._within + name})
        return text

    def number(self, name: str, default: float, lowest: float, highest: float) -> float:
        value = self._values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return self._wrong_type(name, "number")
        return self._within_range(name, value, lowest, highest)

    def integer(self, name: str, default: int, lowest: int, highest: int) -> int:
        value = self._values.get(name, default)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            return self._wrong_type(name, "integer")
        return int(self._within_range(name, value, lowest, highest))

    def flag(self, name: str, default: bool = False) -> bool:
        value = self._values.get(name, default)
        if value in (0, 1) and isinstance(value, int):
            return bool(value)
        return self._wrong_type(name, "boolean")

    def texts(self, name: str) -> list[str]:
        value = self._values.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            return self._wrong_type(name, "array of strings")
        return value

    def part(self, name: str) -> Body:
        value = self._values.get(name, {})
        if not isinstance(value, dict):
            return self._wrong_type(name, "object")
        return Body(value, f"{self._within}{name}.")

    def items(self) -> list[tuple[str, Any]]:
        return list(self._values.items())

    def _within_range(self, name: str, value: float, lowest: float, highest: float) -> float:
        if not math.isfinite(value) or not lowest <= value <= highest:
            words = {"name": self._within + name, "lowest": f"{lowest:.10g}", "highest": f"{highest:.10g}"}
            raise ServiceError(50200, _("%(name)s has to be from %(lowest)s to %(highest)s") % words)
        return value

    def _wrong_type(self, name: str, expected: str) -> Any:
        words = {"name": self._within + name, "type": expected}
        raise ServiceError(50204, _("%(name)s has to be of the type %(type)s") % words)
