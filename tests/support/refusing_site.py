"""A site that answers at once, or after it has read the body, behind the middleware of the platform's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from config.kept_connections import UnreadBodies


def _site(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    is_read = environ["PATH_INFO"] == "/read"
    if is_read:
        while environ["wsgi.input"].read(10_000):
            pass
    start_response("200 OK" if is_read else "401 Unauthorized", [("Content-Length", "4")])
    return [b"done"]


application = UnreadBodies(_site)
