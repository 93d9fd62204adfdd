"""The Idempotency-Key header: a request that is sent again gets the job that it became the first time."""

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
    """A caller's key, and the fingerprint of what it was sent with."""

    key: str
    fingerprint: str


def read(request: HttpRequest, content: bytes | None = None) -> Idempotency | None:
    """From the header, if it is there. ``content``: what has to be the same, where it is not path and body.

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
    """The job that the key has become. Raises IdempotencyConflict where that was another request's."""
    known = IdempotencyKey.objects.filter(source=source, dialect=dialect, key=idempotency.key).first()
    if known is None:
        return None
    if known.fingerprint != idempotency.fingerprint:
        raise IdempotencyConflict(_("This Idempotency-Key was used with another request."))
    return known.job_id


def remember(source: BusinessSource, dialect: str, idempotency: Idempotency, job_id: uuid.UUID) -> None:
    """In the transaction that inserts the job. Raises IntegrityError when somebody was first."""
    IdempotencyKey.objects.create(
        source=source,
        dialect=dialect,
        key=idempotency.key,
        fingerprint=idempotency.fingerprint,
        job_id=job_id,
    )
