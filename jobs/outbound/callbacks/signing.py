"""What a receiver checks before it believes a callback."""

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
    """Of the timestamp, a dot and the body, so that nobody sends an old body again with a new time."""
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"v1={digest.hexdigest()}"


def headers(callback: Callback, body: bytes) -> dict[str, str]:
    """Not signed for as long as its source has no callback secret."""
    timestamp = str(int(time.time()))
    told = {
        "Content-Type": "application/json",
        **callback.headers,
        ID: str(callback.pk),
        TIMESTAMP: timestamp,
    }
    secret = CallbackSecret.objects.filter(source_id=callback.job.source_id).first()
    if secret is not None:
        told[SIGNATURE] = signature(secret.secret, timestamp, body)
    return told
