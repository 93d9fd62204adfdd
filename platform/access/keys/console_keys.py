"""Access keys for users of the console: one for each user and source, whose secret is never shown.

Jobs submitted in the console are therefore limited, billed and listed by key like those of other clients, and such a
key can be limited or disabled like any other.
"""

from __future__ import annotations

import secrets

from django.contrib.auth.models import AbstractBaseUser

from access.keys.authentication import check_use, count_request, find_key, note_use
from access.models import AccessKey, BusinessSource

PREFIX = "console-"


def is_console_key(key: AccessKey) -> bool:
    """Whether the key belongs to a user of the console. Its secret is not known to anybody."""
    return key.key_id.startswith(PREFIX)


def console_key(user: AbstractBaseUser, source: BusinessSource, *, dialect: str, address: str) -> AccessKey:
    """The user's key for this source; created on first use. Counts as a request for the rate limit.

    Raises Denied if the key or its source is disabled, expired, over its rate limit, or not allowed for the dialect or
    the address.
    """
    key = own_key(user, source)
    check_use(key, dialect=dialect, address=address)
    count_request(source, key)
    note_use(key)
    return key


def own_key(user: AbstractBaseUser, source: BusinessSource) -> AccessKey:
    """The user's key for this source; created on first use. Whether it may be used is not checked."""
    key_id = f"{PREFIX}{user.pk}-{source.pk}"
    return find_key(key_id) or _create(key_id, source, f"console: {user.get_username()}"[:200])


def _create(key_id: str, source: BusinessSource, note: str) -> AccessKey:
    fields = {"source": source, "note": note, "secret": secrets.token_urlsafe(32)}
    return AccessKey.objects.get_or_create(key_id=key_id, defaults=fields)[0]
