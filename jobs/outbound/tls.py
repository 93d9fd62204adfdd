"""The certificates that this process trusts."""

from __future__ import annotations

import ssl
from functools import cache


@cache
def trusted() -> ssl.SSLContext:
    """Once in a process: to read the certificates takes longer than a small job's whole conversation."""
    return ssl.create_default_context()
