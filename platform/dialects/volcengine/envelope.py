"""Response envelope. Version 2022-08-31 is flat; later versions nest the same fields in ``Result``."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.utils import timezone

from .errors import GatewayError, ServiceError

FLAT = "2022-08-31"
SERVICE, REGION = "cv", "cn-north-1"
SUCCESS = 10000
SECOND = 1_000_000_000
UNITS = ((SECOND, "s"), (1_000_000, "ms"), (1_000, "µs"))
MAX_QUOTED = 200  # characters of the request's Action and Version that a response repeats


class Envelope:
    """Builds the responses to one request: keeps its start time, request_id, Action and Version."""

    def __init__(self, request: HttpRequest) -> None:
        self._started = time.perf_counter_ns()
        self._request_id = request_id()
        self.action = request.GET.get("Action", "")
        self.version = request.GET.get("Version", "")

    def success(self, data: Any, headers: Mapping[str, str] | None = None) -> JsonResponse:
        return self._response(200, SUCCESS, "Success", data, headers)

    def refused(self, error: ServiceError) -> JsonResponse:
        return self._response(error.status, error.code, error.message, None, error.headers)

    def gateway(self, error: GatewayError) -> JsonResponse:
        body = {"ResponseMetadata": {**self._metadata(), "Error": error.as_json()}}
        return JsonResponse(body, status=error.status, headers=error.headers)

    def _response(
        self, status: int, code: int, message: str, data: Any, headers: Mapping[str, str] | None
    ) -> JsonResponse:
        elapsed = go_duration(time.perf_counter_ns() - self._started)
        flat = {
            "code": code,
            "data": data,
            "message": message,
            "request_id": self._request_id,
            "status": code,
            "time_elapsed": elapsed,
        }
        body = flat if self.version == FLAT else {"ResponseMetadata": self._metadata(), "Result": flat}
        return JsonResponse(body, status=status, headers=headers)

    def _metadata(self) -> dict[str, str]:
        """Action and Version are left out if the request has none."""
        operation = {"Action": self.action[:MAX_QUOTED], "Version": self.version[:MAX_QUOTED]}
        given = {name: value for name, value in operation.items() if value}
        return {"RequestId": self._request_id, **given, "Service": SERVICE, "Region": REGION}


def request_id() -> str:
    """A new request id: 14 digits of local time, and 20 random hexadecimal digits."""
    return f"{timezone.localtime():%Y%m%d%H%M%S}{secrets.token_hex(10).upper()}"


def go_duration(nanoseconds: int) -> str:
    """A duration as Go prints it: ``6.780796541s``, ``104.85ms``, ``84.448µs``, ``1m2.5s``."""
    minutes, rest = divmod(nanoseconds, 60 * SECOND)
    if minutes:
        hours, minutes = divmod(minutes, 60)
        return (f"{hours}h" if hours else "") + f"{minutes}m{_decimal(rest, SECOND)}s"
    for size, unit in UNITS:
        if nanoseconds >= size:
            return _decimal(nanoseconds, size) + unit
    return f"{nanoseconds}ns" if nanoseconds else "0s"


def _decimal(number: int, unit: int) -> str:
    whole, rest = divmod(number, unit)
    digits = str(rest).zfill(len(str(unit)) - 1).rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)
