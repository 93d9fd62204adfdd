"""One line for every request, with an id that its other lines have too. Neither paths nor query strings: both hold secrets."""

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
GIVEN = re.compile(r"[A-Za-z0-9._-]{8,64}")
QUIET = frozenset({"healthz", "readyz", "metrics", "favicon.ico"})


class RequestLog:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get(HEADER, "")
        request_id = given if GIVEN.fullmatch(given) else uuid.uuid4().hex
        tokens = logs.request.set(request_id), logs.job.set("")
        began = time.perf_counter()
        try:
            response = self.get_response(request)
            self._log(request, response, time.perf_counter() - began)
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
        level = logging.DEBUG if route in QUIET else logging.INFO
        figures = {"method": request.method, "route": route, "status": response.status_code}
        extra = {**figures, "ms": round(seconds * 1000, 1)}
        log.log(level, "%s %s %d %.1f ms", *extra.values(), extra=extra)
        if level == logging.INFO:
            counters.http_responses.labels(route=route, status=str(response.status_code)).inc()
