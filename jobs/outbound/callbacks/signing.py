"""HMAC signatures of callbacks."""

from __future__ import annotations

import hashlib
import hmac
import time

from access.models import CallbackSecret
from jobs.models.callback import Callback

ID = "X-Atelier-Callback-Id"
TIMESTAMP = "X-Atelier-Timestamp"
SIGNATURE = "X-Atelier-Signature"


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return ``v1=`` and the hex HMAC-SHA256 of ``timestamp.body``.

    The timestamp is signed, too, so that an old body cannot be replayed with a new timestamp.
    """
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"v1={digest.hexdigest()}"


def headers(callback: Callback, body: bytes) -> dict[str, str]:
    """Request headers of a callback. Unsigned if its source has no callback secret."""
    timestamp = str(int(time.time()))
    fields = {
        "Content-Type": "application/json",
        **callback.headers,
        ID: str(callback.pk),
        TIMESTAMP: timestamp,
    }
    secret = CallbackSecret.objects.filter(source_id=callback.subject.source_id).first()
    if secret is not None:
        fields[SIGNATURE] = signature(secret.secret, timestamp, body)
    return fields
