"""Parse the JSON object of a request, with the type rules of the vendor's service."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _

from dialects.http import InvalidJSON, NotAnObject, UnstorableText, check_text, parse_object
from dialects.volcengine.errors import ServiceError

COMMON = frozenset({"Action", "Version"})


def read_object(request: HttpRequest) -> Body:
    """Parse the body, or the query parameters of a GET request. Raises ServiceError."""
    if request.method == "GET":
        given = {name: value for name, value in request.GET.items() if name not in COMMON}
        try:
            check_text(given)
        except UnstorableText as error:
            raise ServiceError(50204, error.message) from None
        return Body({name: value for name, value in given.items() if not name.startswith("X-")})
    return parsed(request.body or b"{}")


def parsed(data: bytes | str, within: str = "") -> Body:
    label = within.removesuffix(".") or _("the body")
    try:
        return Body(parse_object(data), within)
    except InvalidJSON:
        raise ServiceError(50204, _("%(part)s is not JSON") % {"part": label}) from None
    except NotAnObject:
        raise ServiceError(50204, _("%(part)s is not a JSON object") % {"part": label}) from None
    except UnstorableText as error:
        raise ServiceError(50204, error.message) from None


class Body:
    """Parsed JSON object. Null counts as absent.

    Raises ServiceError: 50204 for a wrong type, 50200 for a wrong value, 50201 for a missing one.
    """

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
        if value == []:  # the vendor's examples send [] for an empty prompt
            return ""
        return value if isinstance(value, str) else self._wrong_type(name, "string")

    def required(self, name: str) -> str:
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
        if not lowest <= value <= highest:
            values = {"name": self._within + name, "lowest": f"{lowest:.10g}", "highest": f"{highest:.10g}"}
            raise ServiceError(50200, _("%(name)s must be from %(lowest)s to %(highest)s") % values)
        return value

    def _wrong_type(self, name: str, expected: str) -> Any:
        values = {"name": self._within + name, "type": expected}
        raise ServiceError(50204, _("%(name)s must be of the type %(type)s") % values)
