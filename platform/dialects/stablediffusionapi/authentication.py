"""Authentication by ``<key id>:<secret>`` in the body, the query, the header ``key`` or the header ``Authorization``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from access.keys.authentication import Denied, Reason, authenticate
from access.models import AccessKey
from jobs.errors import RateLimited

from .coercion import is_absent
from .errors import WireError

DIALECT = "stablediffusionapi"
TIP = (
    "1. Check that the request is sent with the header Content-Type: application/json. "
    "2. Check that the key is sent as key, in the form <key id>:<secret>. "
    "3. Check that the key may be used with this API, and from this address."
)


@sensitive_variables("credentials", "secret")
def authenticate_request(request: HttpRequest, given: Mapping[str, Any]) -> AccessKey:
    """The access key of a request. Raises WireError or RateLimited."""
    credentials = _credentials(request, given)
    key_id, _colon, secret = credentials.partition(":")
    try:
        return authenticate(key_id, secret, dialect=DIALECT, address=request.META.get("REMOTE_ADDR", ""))
    except Denied as denied:
        if denied.reason == Reason.RATE:
            raise RateLimited(denied.retry_after) from None
        raise WireError(401, "Invalid Api Key", tip=TIP) from None


def _credentials(request: HttpRequest, given: Mapping[str, Any]) -> str:
    values = (given.get("key"), request.GET.get("key"), request.headers.get("key"), _authorization(request))
    credentials = next((value for value in values if not is_absent(value)), "")
    return credentials.strip() if isinstance(credentials, str) else ""


def _authorization(request: HttpRequest) -> str:
    header = request.headers.get("Authorization", "").strip()
    scheme, _space, parameter = header.partition(" ")
    return parameter if scheme.lower() == "bearer" else header
