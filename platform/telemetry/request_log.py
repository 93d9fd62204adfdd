"""Request log: one line per request, with a request id that all log lines of the request share.

Paths and query strings are not logged, because both may contain secrets.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from gpu_runner import logs

from . import counters

log = logging.getLogger(__name__)

HEADER = "X-Request-ID"
VALID_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
DEBUG_ROUTES = frozenset({"healthz", "readyz", "metrics", "favicon.ico"})  # logged at level DEBUG


class RequestLog:
    """Middleware that logs each request and adds X-Request-ID, taken from the request if valid, to the response."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        client_id = request.headers.get(HEADER, "")
        request_id = client_id if VALID_REQUEST_ID.fullmatch(client_id) else uuid.uuid4().hex
        tokens = logs.request.set(request_id), logs.job.set("")
        started = time.perf_counter()
        try:
            response = self.get_response(request)
            self._log(request, response, time.perf_counter() - started)
        finally:
            logs.request.reset(tokens[0])
            logs.job.reset(tokens[1])
        response[HEADER] = request_id
        return response

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: dict[str, Any]) -> None:
        if "job_id" in kwargs:
            logs.job.set(str(kwargs["job_id"])[: logs.UUID_LENGTH])

    @staticmethod
    def _log(request: HttpRequest, response: HttpResponseBase, seconds: float) -> None:
        match = request.resolver_match
        route = match.route if match else logs.NOTHING
        level = logging.DEBUG if route in DEBUG_ROUTES else logging.INFO
        extra = {
            "method": request.method,
            "route": route,
            "status": response.status_code,
            "ms": round(seconds * 1000, 1),
        }
        log.log(level, "%s %s %d %.1f ms", *extra.values(), extra=extra)
        if level == logging.INFO:
            counters.http_responses.labels(route=route, status=str(response.status_code)).inc()
