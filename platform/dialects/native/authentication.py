"""Authentication by a bearer token (``access.keys.bearer_tokens``), or HTTP Basic with key id and secret."""

from __future__ import annotations

import base64
import binascii

from django.utils.translation import gettext as _
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from access.keys.authentication import Denied, Reason, authenticate
from access.keys.bearer_tokens import bearer_credentials
from access.models import AccessKey
from jobs.errors import RateLimited

from .errors import Problem

DIALECT = "native"
UNAUTHENTICATED = frozenset({Reason.UNKNOWN_KEY, Reason.WRONG_SECRET})


class KeyAndSecret(BaseAuthentication):
    """Authenticates a request; ``request.auth`` is the access key. Raises Problem or RateLimited."""

    def authenticate(self, request: Request) -> tuple[None, AccessKey]:
        key_id, secret = _credentials(request.headers.get("Authorization", ""))
        try:
            address = request.META.get("REMOTE_ADDR", "")
            return None, authenticate(key_id, secret, dialect=DIALECT, address=address)
        except Denied as denied:
            if denied.reason == Reason.RATE:
                raise RateLimited(denied.retry_after) from None
            raise _denial(denied.reason) from None


def _denial(reason: Reason) -> Problem:
    """401 for wrong credentials. 403 for valid ones that are not allowed, without the reason."""
    if reason in UNAUTHENTICATED:
        return _unauthorized(_("Unknown key or wrong secret."))
    return Problem(403, "forbidden", _("This key may not use this API, or not from this address."))


def _unauthorized(detail: str) -> Problem:
    headers = {"WWW-Authenticate": 'Bearer realm="atelier", Basic realm="atelier"'}
    return Problem(401, "unauthorized", detail, headers=headers)


def _credentials(header: str) -> tuple[str, str]:
    if credentials := bearer_credentials(header):
        return credentials
    scheme, _space, parameter = header.partition(" ")
    if scheme.lower() != "basic":
        raise _unauthorized(_("Send an access key: Authorization: Bearer <key id>:<secret>."))
    key_id, _colon, secret = _decoded(parameter.strip()).partition(":")
    return key_id, secret


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        raise _unauthorized(_("The credentials must be base64.")) from None
