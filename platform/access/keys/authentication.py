"""Authentication of access keys. All comparisons of secrets are in this module."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum

from django.db.models import Q
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from access.accounts import owner_of_key, owner_of_source
from access.addresses.networks import in_networks
from access.encryption import decrypt, encrypt
from access.models import AccessKey, BusinessSource
from access.source_settings.limits import Limits
from telemetry import counters

from . import rate_limit

KEY_ID = re.compile(r"[\x21-\x7e]{1,64}")
USE_IS_NOTED_EVERY = timedelta(minutes=1)


class Reason(StrEnum):
    """Reason of a denial, for the log only. It is not disclosed to the client."""

    UNKNOWN_KEY = "unknown key"
    UNKNOWN_SOURCE = "unknown source"
    WRONG_SECRET = "wrong secret"
    WRONG_TOKEN = "wrong session token"
    DISABLED_KEY = "disabled key"
    DISABLED_SOURCE = "disabled source"
    EXPIRED = "expired key"
    EXPIRED_SOURCE = "expired source"
    DIALECT = "dialect not allowed"
    ADDRESS = "address not allowed"
    RATE = "too many requests"


class Denied(Exception):
    def __init__(self, reason: Reason, *, retry_after: int = 0) -> None:
        super().__init__(str(reason))
        self.reason = reason
        self.retry_after = retry_after  # seconds; only set for RATE


@sensitive_variables("secret")
def authenticate(key_id: str, secret: str, *, dialect: str, address: str) -> AccessKey:
    """Return the access key, with its source, after checking secret and permissions. Raises Denied."""
    return authenticate_by(key_id, lambda key: key.proves(secret), dialect=dialect, address=address)


@sensitive_variables("session_token")
def authenticate_by(
    key_id: str,
    proves: Callable[[AccessKey], bool],
    *,
    dialect: str,
    address: str,
    session_token: str = "",
) -> AccessKey:
    """As ``authenticate``, for callers that prove possession of the secret in another way (``proves``)."""
    try:
        return _proved(key_id, proves, dialect, address, session_token)
    except Denied as denied:
        counters.denials.labels(dialect=dialect, reason=str(denied.reason)).inc()
        raise


def _proved(
    key_id: str, proves: Callable[[AccessKey], bool], dialect: str, address: str, session_token: str
) -> AccessKey:
    key = find_key(key_id)
    if key is None:
        _spend_the_time_of_a_known_key()
        raise Denied(Reason.UNKNOWN_KEY)
    if not proves(key):
        raise Denied(Reason.WRONG_SECRET)
    if not key.accepts_token(session_token):
        raise Denied(Reason.WRONG_TOKEN)
    check_use(key, dialect=dialect, address=address)
    count_request(key.source, key)
    note_use(key)
    return key


def trusted_source(name: str, *, dialect: str, address: str) -> BusinessSource:
    """Return the source named by a caller without a key, if it trusts the caller's network. Raises Denied."""
    known = KEY_ID.fullmatch(name) and BusinessSource.objects.filter(name=name).first()
    if not known:
        raise Denied(Reason.UNKNOWN_SOURCE)
    if not in_networks(address, known.keyless_networks):
        raise Denied(Reason.ADDRESS)
    _check_source(known, dialect=dialect, address=address)
    count_request(known)
    return known


def find_key(key_id: str) -> AccessKey | None:
    # PostgreSQL rejects text that contains NUL, so malformed ids are not looked up.
    if not KEY_ID.fullmatch(key_id):
        return None
    return AccessKey.objects.select_related("source").order_by("pk").filter(key_id=key_id).first()


def check_use(key: AccessKey, *, dialect: str, address: str) -> None:
    """Check state and limits of an authenticated key. Raises Denied.

    Call it after the secret is verified, so that it does not reveal which keys are disabled.
    """
    if not key.enabled:
        raise Denied(Reason.DISABLED_KEY)
    if key.is_expired:
        raise Denied(Reason.EXPIRED)
    _check_source(key.source, dialect=dialect, address=address)
    _check_limits(key, dialect=dialect, address=address)


def _check_source(source: BusinessSource, *, dialect: str, address: str) -> None:
    if not source.enabled:
        raise Denied(Reason.DISABLED_SOURCE)
    if source.is_expired:
        raise Denied(Reason.EXPIRED_SOURCE)
    _check_limits(source, dialect=dialect, address=address)


def _check_limits(limits: Limits, *, dialect: str, address: str) -> None:
    if not limits.allows_dialect(dialect):
        raise Denied(Reason.DIALECT)
    if not limits.allows_address(address):
        raise Denied(Reason.ADDRESS)


def count_request(source: BusinessSource, key: AccessKey | None = None) -> None:
    """Apply the rate limits of key and source. Raises Denied.

    The key's limit comes first, so that its refused requests do not use up the source's limit.
    """
    now = time.time()
    wait = rate_limit.seconds_to_wait(owner_of_key(key.pk), key, now) if key is not None else 0
    wait = wait or rate_limit.seconds_to_wait(owner_of_source(source.pk), source, now)
    if wait:
        raise Denied(Reason.RATE, retry_after=wait)


def note_use(key: AccessKey) -> None:
    now = timezone.now()
    if key.last_used_at is None or now - key.last_used_at >= USE_IS_NOTED_EVERY:
        stale = Q(last_used_at=None) | Q(last_used_at__lte=now - USE_IS_NOTED_EVERY)
        AccessKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)


@functools.cache
def _decoy() -> str:
    return encrypt("a secret that nobody holds, as long as one")


def _spend_the_time_of_a_known_key() -> None:
    """Decrypt and compare a dummy secret for unknown ids, so that response times do not reveal ids."""
    AccessKey(secret=decrypt(_decoy())).proves("")
