"""HTTP code shared by all dialects: content negotiation, base views, and JSON body parsing.

Each dialect adds its authentication and its error format.
"""

from __future__ import annotations

import io
import json
import logging
import math
from collections.abc import Callable
from typing import Any, NoReturn, cast

from django.core.exceptions import DisallowedHost
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext as _
from rest_framework.exceptions import APIException
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from access.models import AccessKey

log = logging.getLogger(__name__)

OUTAGE_RETRY_S = 5  # Retry-After while the database is not reachable
MAX_LEVELS = 100  # maximum nesting depth; code that copies a body recurses this deep
ErrorHandler = Callable[[Exception, dict[str, Any]], HttpResponseBase]


class IgnoreAcceptHeader(BaseContentNegotiation):
    """Always use the first parser and renderer: each of the original APIs has only one format."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class HostNotAllowed(APIException):
    """The Host header is not in ALLOWED_HOSTS."""

    status_code = 400
    default_code = "host_not_allowed"

    def __init__(self) -> None:
        super().__init__(_("The host of the request is not one of this installation (ALLOWED_HOSTS)."))


class DialectView(APIView):
    """Base view of a dialect. ``error_response`` converts exceptions to the dialect's error format."""

    http_method_names = ["post"]
    renderer_classes = [JSONRenderer]
    content_negotiation_class = IgnoreAcceptHeader
    error_response: ErrorHandler
    any_host = True  # initial() refuses a wrong host in the dialect's error format

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return super().dispatch(request, *args, **kwargs)
        finally:
            _release_body(self.request)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        try:
            request._request.get_host()
        except DisallowedHost:
            raise HostNotAllowed from None
        super().initial(request, *args, **kwargs)

    def handle_exception(self, exc: Exception) -> Any:
        if isinstance(exc, OperationalError | InterfaceError):
            log.error("the database is not reachable", exc_info=exc)
            exc = self.unavailable(_("The service is temporarily unavailable. Try again in a few seconds."))
        return super().handle_exception(exc)

    def unavailable(self, message: str) -> Exception:
        """The dialect's error for an outage, with Retry-After and, where it has one, status 503."""
        raise NotImplementedError

    def get_exception_handler(self) -> ErrorHandler:
        return self.error_response

    def check_method(self, request: Request) -> None:
        """Raise MethodNotAllowed if the method is not supported. For dialects where 405 precedes 401."""
        method = str(request.method).lower()
        if method not in self.http_method_names or not hasattr(self, method):
            self.http_method_not_allowed(request)

    @property
    def key(self) -> AccessKey:
        return cast(AccessKey, self.request.auth)


def _release_body(request: Request) -> None:
    """Views, requests and responses of DRF refer to each other, so they and the body wait for the garbage collector.

    Bodies have many MB, and a process with many threads collects rarely.
    """
    vars(request._request).update(_body=b"", _stream=io.BytesIO())
    vars(request).update(_stream=io.BytesIO(), _data={}, _full_data={})


class NotFoundView(DialectView):
    """404 response for unknown paths, without authentication."""

    authentication_classes = []
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise self.not_found()

    def not_found(self) -> Exception:
        raise NotImplementedError


class BadBody(ValueError):
    """Request body that no dialect accepts. ``message`` is translated and may be shown to the client."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidJSON(BadBody):
    pass


class NotAnObject(BadBody):
    pass


class UnstorableText(BadBody):
    """Text that cannot be stored. ``location`` is its path in the body; for a key, the path of its object."""

    def __init__(self, location: tuple[str | int, ...]) -> None:
        super().__init__(_("Text must not contain NUL characters or unpaired surrogates."))
        self.location = location


def parse_json(data: bytes | str) -> Any:
    """Parse strict JSON in UTF-8, with or without a BOM, nested up to MAX_LEVELS. Raises InvalidJSON."""
    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
        value = json.loads(text, parse_float=_parse_float, parse_constant=_refuse_constant)
        _check_levels(value, MAX_LEVELS)
    except json.JSONDecodeError as error:
        raise InvalidJSON(_("The body is not JSON: %s") % error) from error
    except (ValueError, RecursionError) as error:
        raise InvalidJSON(_("The body is not JSON.")) from error
    return value


def parse_object(data: bytes | str) -> dict[str, Any]:
    """Parse a JSON object, as ``parse_json``, whose text can be stored. Raises BadBody."""
    value = parse_json(data)
    if not isinstance(value, dict):
        raise NotAnObject(_("The body must be a JSON object."))
    check_text(value)
    return value


def check_text(value: Any, location: tuple[str | int, ...] = ()) -> None:
    """Check keys and values. Raises UnstorableText for text that PostgreSQL or UTF-8 cannot represent."""
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
    """Return whether the text is free of NUL (PostgreSQL) and lone surrogates (UTF-8)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _parse_float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("number out of range")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _check_levels(value: Any, levels: int) -> None:
    if not isinstance(value, dict | list):
        return
    if not levels:
        raise ValueError("nested too deeply")
    for item in value.values() if isinstance(value, dict) else value:
        _check_levels(item, levels - 1)
