"""Bodies that come in chunks. Django reads as many bytes as Content-Length announces, and clients that stream announce none."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class ChunkedBodies:
    """Reads such a body to its end before the application is asked, so that every view finds it as any other.

    Of one that is larger than ``limit`` only its being too large is told: views answer that in their own words.
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
        raise OSError("the body is broken, or longer than is read")


def _is_chunked(environ: dict[str, Any]) -> bool:
    """Only where the server decodes the chunks and tells the end of the last."""
    return bool(environ.get("wsgi.input_terminated")) and bool(environ.get("HTTP_TRANSFER_ENCODING"))


def _read(stream: Any, limit: int) -> bytes | None:
    """One byte more than may be; None where the chunks are broken or the client is gone."""
    try:
        return bytes(stream.read(limit + 1))
    except Exception:  # servers have errors of their own for this
        return None
