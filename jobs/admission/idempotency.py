"""Idempotency-Key header: a repeated request returns the job that the first request created."""

from __future__ import annotations

import hashlib
import re
import uuid
from dataclasses import dataclass

from django.http import HttpRequest
from django.utils.translation import gettext as _

from access.models import BusinessSource
from jobs.errors import BadIdempotencyKey, IdempotencyConflict
from jobs.models.idempotency_key import IdempotencyKey

HEADER = "Idempotency-Key"
KEY = re.compile(r"[\x21-\x7e]{1,200}")


@dataclass(frozen=True)
class Idempotency:
    """An idempotency key, and the fingerprint (SHA-256, hex) of the request that it came with."""

    key: str
    fingerprint: str


def read(request: HttpRequest, content: bytes | None = None) -> Idempotency | None:
    """Read the Idempotency-Key header; None if it is missing.

    ``content`` is the data to fingerprint (default: path with query string, and body).
    Raises BadIdempotencyKey.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not KEY.fullmatch(key):
        message = _("Idempotency-Key has to be 1 to 200 visible ASCII characters.")
        raise BadIdempotencyKey(message)
    if content is None:
        content = request.get_full_path().encode() + b"\0" + request.body
    return Idempotency(key, hashlib.sha256(content).hexdigest())


def job_of(source: BusinessSource, dialect: str, idempotency: Idempotency) -> uuid.UUID | None:
    """Return the ID of the job created with this key, or None.

    Raises IdempotencyConflict if the key was used with a different request.
    """
    known = IdempotencyKey.objects.filter(source=source, dialect=dialect, key=idempotency.key).first()
    if known is None:
        return None
    if known.fingerprint != idempotency.fingerprint:
        raise IdempotencyConflict(_("This Idempotency-Key was used with another request."))
    return known.job_id


def remember(source: BusinessSource, dialect: str, idempotency: Idempotency, job_id: uuid.UUID) -> None:
    """Store the key of a job. Call it in the transaction that inserts the job.

    Raises IntegrityError if a concurrent request stored the same key first.
    """
    IdempotencyKey.objects.create(
        source=source,
        dialect=dialect,
        key=idempotency.key,
        fingerprint=idempotency.fingerprint,
        job_id=job_id,
    )
