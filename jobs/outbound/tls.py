"""Shared TLS context of the process."""

from __future__ import annotations

import ssl
from functools import cache

from django.conf import settings


@cache
def trusted() -> ssl.SSLContext:
    """SSL context with the default CA certificates and those of OUTBOUND_CA_FILE. Cached, because loading is slow."""
    context = ssl.create_default_context()
    if settings.OUTBOUND_CA_FILE:
        context.load_verify_locations(settings.OUTBOUND_CA_FILE)
    return context
