"""Signs requests as Volcengine's Python SDK does."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from dialects.volcengine import signature
from dialects.volcengine.signature import Scope, Signed, SignedRequest


def now(**delta: float) -> str:
    return (datetime.now(UTC) + timedelta(**delta)).strftime(signature.DATE_FORM)


def signed_headers(
    key_id: str, secret: str, query: dict[str, str], body: bytes, *, host: str
) -> dict[str, str]:
    """Headers of a POST request to ``/`` with this query and JSON body."""
    date = now()
    headers = {"content-type": "application/json", "host": host, "x-date": date}
    headers["x-content-sha256"] = hashlib.sha256(body).hexdigest()
    signed = Signed(key_id, Scope(date[:8], "cn-north-1", "cv"), date, "", tuple(sorted(headers)))
    return with_signature(secret, signed, SignedRequest("POST", "/", tuple(query.items()), headers, body))


def with_signature(secret: str, signed: Signed, sent: SignedRequest) -> dict[str, str]:
    """The headers of the request, with Authorization."""
    key = signature.signing_key(secret, signed.scope)
    digest = signature.signature(key, signed, signature.canonical_requests(signed, sent)[0])
    names = ";".join(signed.signed_headers)
    parts = f"Credential={signed.key_id}/{signed.scope}, SignedHeaders={names}, Signature={digest}"
    return {**sent.headers, "authorization": f"HMAC-SHA256 {parts}"}
