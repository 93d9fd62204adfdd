"""Authentication by ``Authorization: Bearer``, with ``<key id>:<secret>`` or the opaque token of an access key."""

from __future__ import annotations

from django.utils.translation import gettext as _
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from access.keys.authentication import Denied, Reason, authenticate
from access.keys.bearer_tokens import bearer_credentials
from access.models import AccessKey
from jobs.errors import RateLimited

from .errors import ArkError

DIALECT = "ark"
UNAUTHENTICATED = frozenset({Reason.UNKNOWN_KEY, Reason.WRONG_SECRET, Reason.WRONG_TOKEN})


class BearerKey(BaseAuthentication):
    """Authenticates a request; ``request.auth`` is the access key. Raises ArkError or RateLimited."""

    def authenticate(self, request: Request) -> tuple[None, AccessKey]:
        credentials = bearer_credentials(request.headers.get("Authorization", ""))
        if credentials is None:
            message = _("Send an access key: Authorization: Bearer <key id>:<secret>.")
            raise ArkError(401, "AuthenticationError", message)
        key_id, secret = credentials
        try:
            address = request.META.get("REMOTE_ADDR", "")
            return None, authenticate(key_id, secret, dialect=DIALECT, address=address)
        except Denied as denied:
            if denied.reason == Reason.RATE:
                raise RateLimited(denied.retry_after) from None
            raise _denial(denied.reason) from None


def _denial(reason: Reason) -> ArkError:
    """401 for wrong credentials. 403 for valid ones that are not allowed, without the reason."""
    if reason in UNAUTHENTICATED:
        return ArkError(401, "AuthenticationError", _("Unknown key or wrong secret."))
    return ArkError(403, "AccessDenied", _("This key may not use this API, or not from this address."))
