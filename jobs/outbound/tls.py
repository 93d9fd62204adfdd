"""Shared TLS context of the process."""

from __future__ import annotations

import ssl
from functools import cache


@cache
def trusted() -> ssl.SSLContext:
    """SSL context with the default CA certificates. Cached, because loading them is slow."""
    return ssl.create_default_context()
