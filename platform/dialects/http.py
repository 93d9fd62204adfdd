"""What the HTTP side of every dialect shares: content negotiation, base classes of views, and the reading of JSON bodies.

A dialect adds how it authenticates, and the form of its errors.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, NoReturn, cast

from django.http import HttpResponseBase
from django.utils.translation import gettext as _
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from access.models import AccessKey

MAX_LEVELS = 100  # of nested lists and objects; code that copies a body recurses as deeply
ErrorHandler = Callable[[Exception, dict[str, Any]], HttpResponseBase]


class IgnoreAcceptHeader(BaseContentNegotiation):
    """Always the first parser and the first renderer, as in the original APIs: each answers in one format."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class DialectView(APIView):
    """Base class of a dialect's views. ``error_response`` turns exceptions into the dialect's own error bodies."""

    http_method_names = ["post"]
    renderer_classes = [JSONRenderer]
    content_negotiation_class = IgnoreAcceptHeader
    error_response: ErrorHandler

    def get_exception_handler(self) -> ErrorHandler:
        return self.error_response

    def check_method(self, request: Request) -> None:
        """For ``initial()`` of dialects that answer 405 before they authenticate. Raises MethodNotAllowed."""
        method = str(request.method).lower()
        if method not in self.http_method_names or not hasattr(self, method):
            self.http_method_not_allowed(request)

    @property
    def key(self) -> AccessKey:
        return cast(AccessKey, self.request.auth)


class NotFoundView(DialectView):
    """Answers every request to a path that is no route, without authentication."""

    authentication_classes = []
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise self.not_found()

    def not_found(self) -> Exception:
        raise NotImplementedError


class BadBody(ValueError):
    """A body that no dialect accepts. ``message`` is translated, and fit for the client."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidJSON(BadBody):
    pass


class NotAnObject(BadBody):
    pass


class UnstorableText(BadBody):
    """``location`` is the path of the text within the body; of a name, that of its object."""

    def __init__(self, location: tuple[str | int, ...]) -> None:
        super().__init__(_("Text may not contain NUL or half of a surrogate pair."))
        self.location = location


def parse_json(data: bytes | str) -> Any:
    """Strict JSON in UTF-8, with or without a byte order mark, at most MAX_LEVELS deep. Raises InvalidJSON."""
    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
        value = json.loads(text, parse_float=_finite, parse_constant=_no_constant)
        _check_levels(value, MAX_LEVELS)
    except json.JSONDecodeError as error:
        raise InvalidJSON(_("The body is not JSON: %s") % error) from error
    except (ValueError, RecursionError) as error:
        raise InvalidJSON(_("The body is not JSON.")) from error
    return value


def parse_object(data: bytes | str) -> dict[str, Any]:
    """As ``parse_json``, for a JSON object whose text can be stored. Raises BadBody."""
    value = parse_json(data)
    if not isinstance(value, dict):
        raise NotAnObject(_("Send a JSON object."))
    check_text(value)
    return value


def check_text(value: Any, location: tuple[str | int, ...] = ()) -> None:
    """Raises UnstorableText for text that PostgreSQL or UTF-8 cannot hold, in values and in names."""
    if isinstance(value, str):
        if not is_storable(value):
            raise UnstorableText(location)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check_text(item, (*location, index))
    elif isinstance(value, dict):
        for name, item in value.items():
            check_text(name, location)
            check_text(item, (*location, name))


def is_storable(text: str) -> bool:
    """Without NUL, which PostgreSQL refuses, and without lone surrogates, which UTF-8 refuses."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number too large")
    return number


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def _check_levels(value: Any, levels: int) -> None:
    if not isinstance(value, dict | list):
        return
    if not levels:
        raise ValueError("nested too deeply")
    for item in value.values() if isinstance(value, dict) else value:
        _check_levels(item, levels - 1)
