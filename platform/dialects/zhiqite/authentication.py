"""Authentication by two headers with the plain key id and secret, or by the same two query parameters."""

from __future__ import annotations

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from access.keys.authentication import Denied, Reason, authenticate
from access.models import AccessKey
from jobs.errors import RateLimited

from .errors import WireError

DIALECT = "zhiqite"
KEY_ID = "X-Request-req-accessKeyId"
SECRET = "X-Request-req-accessKeySecret"


class KeyHeaders(BaseAuthentication):
    """Authenticates a request; ``request.auth`` is the access key. Raises WireError or RateLimited."""

    def authenticate(self, request: Request) -> tuple[None, AccessKey]:
        key_id, secret = (_credential(request, name) for name in (KEY_ID, SECRET))
        try:
            address = request.META.get("REMOTE_ADDR", "")
            return None, authenticate(key_id, secret, dialect=DIALECT, address=address)
        except Denied as denied:
            if denied.reason == Reason.RATE:
                raise RateLimited(denied.retry_after) from None
            raise WireError("accessKey invalid", status=401, with_data=False) from None


def _credential(request: Request, name: str) -> str:
    return request.headers.get(name) or request.query_params.get(name) or ""
