"""Authentication by an access key, or without one by ``from``, which names a source that trusts the client's network."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext as _

from access.keys.authentication import Denied, Reason, authenticate, trusted_source
from access.models import AccessKey, BusinessSource
from jobs.errors import RateLimited

from .errors import Code, WireError

DIALECT = "smzdm"
UNAUTHENTICATED = frozenset({Reason.UNKNOWN_KEY, Reason.WRONG_SECRET})


@dataclass(frozen=True)
class Caller:
    """The source of a request, and its access key if there is one."""

    source: BusinessSource
    key: AccessKey | None


def authenticate_caller(request: HttpRequest, sender: str) -> Caller:
    """The caller of a request; ``sender`` is the body's ``from``. Raises WireError or RateLimited.

    Wrong credentials are told from a key that may not be used here. Unknown and forbidden sources have the same
    error, so that the existence of a source is not revealed.
    """
    if not sender and settings.SMZDM_FROM_REQUIRED:
        raise WireError(Code.PARAMETER, _("%(field)s is missing.") % {"field": "from"})
    address = request.META.get("REMOTE_ADDR", "")
    credentials = _credentials(request.headers.get("Authorization", ""))
    try:
        if credentials is None:
            name = sender or settings.SMZDM_DEFAULT_SOURCE
            return Caller(trusted_source(name, dialect=DIALECT, address=address), None)
        key = authenticate(*credentials, dialect=DIALECT, address=address)
    except Denied as denied:
        if denied.reason == Reason.RATE:
            raise RateLimited(denied.retry_after) from None
        raise _denial(denied.reason, keyless=credentials is None) from None
    if sender not in ("", key.source.name):
        raise WireError(Code.CALLER, _("from: this is not the source of the key."))
    return Caller(key.source, key)


def _denial(reason: Reason, *, keyless: bool) -> WireError:
    if keyless:
        return WireError(Code.CALLER, _("from: unknown caller, or not allowed from this network."))
    if reason in UNAUTHENTICATED:
        return WireError(Code.CALLER, _("Authorization: unknown key or wrong secret."))
    return WireError(
        Code.CALLER, _("Authorization: this key may not use this API, or not from this address.")
    )


def _credentials(header: str) -> tuple[str, str] | None:
    """Key id and secret of ``Bearer <key id>:<secret>`` or of Basic. Raises WireError for another format."""
    if not header:
        return None
    scheme, _space, text = header.partition(" ")
    match scheme.lower():
        case "bearer":
            pass
        case "basic":
            text = _decoded(text.strip())
        case _:
            raise _malformed()
    key_id, _colon, secret = text.strip().partition(":")
    return key_id, secret


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise _malformed() from None


def _malformed() -> WireError:
    message = _("Authorization: send Bearer <key id>:<secret>, or HTTP Basic with the same two.")
    return WireError(Code.CALLER, message)
