"""WSGI middleware for chunked request bodies, which have no Content-Length and which Django reads as empty."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class ChunkedBodies:
    """Buffers a chunked body and sets CONTENT_LENGTH, so that views read it like any other body.

    A body longer than ``limit`` bytes is not passed on; CONTENT_LENGTH then exceeds the limit, and each view reports
    the error in its own format.
    """

    def __init__(self, application: Application, limit: int) -> None:
        self._application, self._limit = application, limit

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if _is_chunked(environ):
            body = _read(environ["wsgi.input"], self._limit)
            is_whole = body is not None and len(body) <= self._limit
            environ["wsgi.input"] = io.BytesIO(body or b"") if is_whole else _Unreadable()
            environ["CONTENT_LENGTH"] = str(1 if body is None else len(body))
        return self._application(environ, start_response)


class _Unreadable(io.RawIOBase):
    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        raise OSError("the chunked request body is malformed or too large")


def _is_chunked(environ: dict[str, Any]) -> bool:
    """True only if the server decodes the chunks and signals the end of the body."""
    return bool(environ.get("wsgi.input_terminated")) and bool(environ.get("HTTP_TRANSFER_ENCODING"))


def _read(stream: Any, limit: int) -> bytes | None:
    """Up to ``limit + 1`` bytes; None if the chunks are malformed or the client disconnected."""
    try:
        return bytes(stream.read(limit + 1))
    except Exception:  # each WSGI server raises its own exception types
        return None
