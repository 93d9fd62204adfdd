"""Bearer tokens: key id and secret of an access key in one text, for the header ``Authorization``.

Two forms are accepted: ``<key id>:<secret>``, and an opaque one without a colon, ``sk-`` and the base64url of the
first. Some clients have a single field for an API key, and refuse a colon in it.
"""

from __future__ import annotations

import base64
import binascii

from django.views.decorators.debug import sensitive_variables

OPAQUE_PREFIX = "sk-"


@sensitive_variables()
def opaque_token(key_id: str, secret: str) -> str:
    """The opaque form of a key: letters, digits, dash and underscore."""
    encoded = base64.urlsafe_b64encode(f"{key_id}:{secret}".encode()).decode()
    return OPAQUE_PREFIX + encoded.rstrip("=")


@sensitive_variables()
def bearer_credentials(header: str) -> tuple[str, str] | None:
    """Key id and secret of an ``Authorization`` header in either form. None if the scheme is not Bearer.

    A malformed token gives credentials that no key has.
    """
    scheme, _space, parameter = header.partition(" ")
    if scheme.lower() != "bearer":
        return None
    return credentials_in(parameter.strip())


@sensitive_variables()
def credentials_in(token: str) -> tuple[str, str]:
    """Key id and secret of a token in either form."""
    if token.startswith(OPAQUE_PREFIX) and ":" not in token:
        token = _decoded(token.removeprefix(OPAQUE_PREFIX))
    key_id, _colon, secret = token.partition(":")
    return key_id, secret


def _decoded(encoded: str) -> str:
    try:
        padded = encoded + "=" * (-len(encoded) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
