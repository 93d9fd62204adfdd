"""Response while the database is not reachable, for the pages that have no error format of a dialect."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from .error_pages import database_outage

log = logging.getLogger(__name__)


class DatabaseOutage:
    """Middleware: 503 with Retry-After for a lost connection to the database."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, OperationalError | InterfaceError):
            return None
        log.error("the database is not reachable", exc_info=exception)
        return database_outage(request)
