"""The keys that users of the console draw with: one for each user and source, whose secret nobody was ever shown.

So what is drawn in the console passes the same limits and books, and is found by its key, as any client's work; ops can
limit or disable such a key like another.
"""

from __future__ import annotations

import secrets

from django.contrib.auth.models import AbstractBaseUser

from access.authentication import check_use, count_request, find_key, note_use
from access.models import AccessKey, BusinessSource


def console_key(user: AbstractBaseUser, source: BusinessSource, *, dialect: str, address: str) -> AccessKey:
    """Raises Denied where the key, or its source, may not be used like this."""
    key_id = f"console-{user.pk}-{source.pk}"
    key = find_key(key_id) or _made(key_id, source, f"console: {user.get_username()}"[:200])
    check_use(key, dialect=dialect, address=address)
    count_request(source, key)
    note_use(key)
    return key


def _made(key_id: str, source: BusinessSource, note: str) -> AccessKey:
    fields = {"source": source, "note": note, "secret": secrets.token_urlsafe(32)}
    return AccessKey.objects.get_or_create(key_id=key_id, defaults=fields)[0]
