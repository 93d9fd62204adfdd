"""Authentication by ``Authorization: Bearer``, with either form of a bearer token (``access.keys.bearer_tokens``)."""

from __future__ import annotations

from django.utils.translation import gettext as _
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from access.keys.authentication import Denied, Reason, authenticate
from access.keys.bearer_tokens import bearer_credentials
from access.models import AccessKey
from jobs.errors import RateLimited

from .errors import APIError

DIALECT = "openai"
UNAUTHENTICATED = frozenset({Reason.UNKNOWN_KEY, Reason.WRONG_SECRET})


class BearerKey(BaseAuthentication):
    """Authenticates a request; ``request.auth`` is the access key. Raises APIError or RateLimited."""

    def authenticate(self, request: Request) -> tuple[None, AccessKey]:
        credentials = bearer_credentials(request.headers.get("Authorization", ""))
        if credentials is None:
            raise APIError.invalid_key(_("Send an access key: Authorization: Bearer <key id>:<secret>."))
        key_id, secret = credentials
        try:
            address = request.META.get("REMOTE_ADDR", "")
            return None, authenticate(key_id, secret, dialect=DIALECT, address=address)
        except Denied as denied:
            raise _error(denied) from None


def _error(denied: Denied) -> Exception:
    """401 for wrong credentials. 403 for valid ones that are not allowed, without the reason."""
    if denied.reason == Reason.RATE:
        return RateLimited(denied.retry_after)
    if denied.reason in UNAUTHENTICATED:
        return APIError.invalid_key(_("Unknown key or wrong secret."))
    return APIError.forbidden(_("This key may not use this API, or not from this address."))
