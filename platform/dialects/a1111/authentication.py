"""HTTP Basic authentication: the user name is the key id, the password its secret."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from access.keys.authentication import Denied, Reason, authenticate
from access.models import AccessKey
from jobs.errors import RateLimited

from .errors import WireError
from .refusals import refusal

DIALECT = "a1111"


class BasicKey(BaseAuthentication):
    """Set ``request.auth`` to the access key, or respond with 401 in A1111's format."""

    def authenticate(self, request: Request) -> tuple[None, AccessKey]:
        key_id, secret = _credentials(request.headers.get("Authorization", ""))
        try:
            address = request.META.get("REMOTE_ADDR", "")
            return None, authenticate(key_id, secret, dialect=DIALECT, address=address)
        except Denied as denied:
            if denied.reason == Reason.RATE:
                raise refusal(RateLimited(denied.retry_after), "") from None
            raise unauthorized("Incorrect username or password") from None


def unauthorized(detail: str) -> WireError:
    headers: dict[str, Any] = {"WWW-Authenticate": 'Basic realm="sdapi"'}
    return WireError(401, detail=detail, headers=headers)


def _credentials(header: str) -> tuple[str, str]:
    scheme, _space, parameter = header.partition(" ")
    if scheme.lower() != "basic" or not parameter:
        raise unauthorized("Not authenticated")
    try:
        text = base64.b64decode(parameter.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise unauthorized("Invalid authentication credentials") from None
    key_id, _colon, secret = text.partition(":")
    return key_id, secret
