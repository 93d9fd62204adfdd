"""Authentication by signature. The order of the checks is that of the vendor's gateway."""

from __future__ import annotations

import hashlib
from typing import NoReturn

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from access.keys.authentication import Denied, Reason, authenticate_by
from access.models import AccessKey
from jobs.errors import RateLimited

from . import signature
from .envelope import SERVICE
from .errors import GatewayError
from .signature import Signed, SignedRequest

DIALECT = "volcengine"
MAX_EXPIRES_DIGITS = 9


class SignatureAuthentication(BaseAuthentication):
    """Verifies the signature of a request; ``request.auth`` is the access key. Raises GatewayError or RateLimited."""

    def authenticate(self, request: Request) -> tuple[None, AccessKey]:
        sent = request._request
        for name in ("Action", "Version"):
            if not sent.GET.get(name):
                raise GatewayError("MissingParameter", name)
        signed = _signed(sent)
        _check_time(signed, sent)
        if signed.scope.service != SERVICE:
            raise GatewayError("ServiceNotFound", signed.scope.service)
        return None, _key(signed, sent)


def _signed(request: HttpRequest) -> Signed:
    header, presigned = request.headers.get("Authorization", ""), "X-Signature" in request.GET
    if not header and not (presigned and request.method == "GET"):
        raise GatewayError("MissingAuthenticationToken")
    try:
        if not header:
            return signature.parse_query({name: str(value) for name, value in request.GET.items()})
        signed = signature.parse_header(header, request.headers.get("X-Date", ""))
    except signature.NoSignature:
        raise GatewayError("MissingSignature") from None
    except signature.BadCredential:
        raise GatewayError("InvalidCredential") from None
    except ValueError:
        raise GatewayError("InvalidAuthorization") from None
    if signed.date and "x-date" not in signed.signed_headers:
        raise GatewayError("InvalidAuthorization")
    return signed


def _check_time(signed: Signed, request: HttpRequest) -> None:
    if not signed.date:
        raise GatewayError("MissingRequestInfo", "X-Date")
    signed_at = signature.parse_date(signed.date)
    window = settings.VOLCENGINE_CLOCK_WINDOW_S
    if signed_at is None:
        raise GatewayError("InvalidTimestamp")
    age = (timezone.now() - signed_at).total_seconds()
    if not -window <= age <= min(window, _expires(request, window)):
        raise GatewayError("InvalidTimestamp")


def _expires(request: HttpRequest, window: float) -> float:
    """Lifetime of the signature in seconds, from ``X-Expires``. The caller limits it to ``window``."""
    text = request.GET.get("X-Expires", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_EXPIRES_DIGITS else window


@sensitive_variables("token")
def _key(signed: Signed, request: HttpRequest) -> AccessKey:
    sent = _sent(request)
    token = (
        request.GET.get("X-Security-Token", "")
        if signed.in_query
        else sent.headers.get("x-security-token", "")
    )
    try:
        return authenticate_by(
            signed.key_id,
            lambda key: _verify(key, signed, sent),
            dialect=DIALECT,
            address=request.META.get("REMOTE_ADDR", ""),
            session_token=token,
        )
    except Denied as denied:
        if denied.reason == Reason.RATE:
            raise RateLimited(denied.retry_after) from None
        _refuse(denied.reason, signed, request)


def _verify(key: AccessKey, signed: Signed, sent: SignedRequest) -> bool:
    body_hash = sent.headers.get("x-content-sha256")
    if body_hash is not None and body_hash.strip() != hashlib.sha256(sent.body).hexdigest():
        return False
    return signature.verify(signed, sent, key.secret)


def _sent(request: HttpRequest) -> SignedRequest:
    query = tuple((name, value) for name, values in request.GET.lists() for value in values)
    headers = {name.lower(): value for name, value in request.headers.items()}
    return SignedRequest(str(request.method), request.path, query, headers, request.body)


def _refuse(reason: Reason, signed: Signed, request: HttpRequest) -> NoReturn:
    match reason:
        case Reason.UNKNOWN_KEY | Reason.DISABLED_KEY | Reason.EXPIRED:
            raise GatewayError("InvalidAccessKey", signed.key_id)
        case Reason.WRONG_SECRET:
            raise GatewayError("SignatureDoesNotMatch")
        case Reason.WRONG_TOKEN:
            raise GatewayError("InvalidSecretToken")
    raise GatewayError("AccessDenied", f"{SERVICE}:{request.GET['Action']}", "*")
