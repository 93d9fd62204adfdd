"""The Idempotency-Key header: a request that is sent again gets the job that it became the first time."""

from __future__ import annotations

import hashlib
import re
import uuid
from dataclasses import dataclass

from django.db import models
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from access.models import BusinessSource

from .errors import BadIdempotencyKey, IdempotencyConflict

HEADER = "Idempotency-Key"
KEY = re.compile(r"[\x21-\x7e]{1,200}")


@dataclass(frozen=True)
class Idempotency:
    """A caller's key, and the fingerprint of what it was sent with."""

    key: str
    fingerprint: str


class IdempotencyKey(models.Model):
    source = models.ForeignKey("access.BusinessSource", on_delete=models.CASCADE, related_name="+")
    dialect = models.CharField(max_length=32)
    key = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=64)
    job = models.ForeignKey("jobs.Job", on_delete=models.CASCADE, related_name="idempotency_keys")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = gettext_lazy("idempotency key")
        verbose_name_plural = gettext_lazy("idempotency keys")
        constraints = [
            models.UniqueConstraint(fields=["source", "dialect", "key"], name="one_job_per_idempotency_key")
        ]

    def __str__(self) -> str:
        return self.key


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
