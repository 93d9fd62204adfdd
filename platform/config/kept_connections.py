"""WSGI middleware: a connection that closes after a response is not said to be kept.

gunicorn writes ``Connection: keep-alive`` before it knows whether it can read the rest of the body, of which it reads
64 KiB at most. A request that is refused without its body, for its key or its size, would so lose the next one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, Protocol

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

DRAINED_BYTES = 64 * 1024  # that gunicorn reads of a body after the response


class Closable(Protocol):
    """A request of gunicorn."""

    def force_close(self) -> None: ...


_thread = threading.local()


def remember(request: Closable) -> None:
    """gunicorn's hook ``pre_request`` calls this in the thread that then serves the request."""
    _thread.request = request


class UnreadBodies:
    """Closes the connection, and says so, if more of the body is unread than the server reads by itself."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"] = _Counted(environ["wsgi.input"], environ)

        def start(*arguments: Any) -> Any:
            request = getattr(_thread, "request", None)
            if request is not None and body.is_left_unread:
                request.force_close()
            return start_response(*arguments)

        return self._application(environ, start)


class _Counted:
    """The stream of a body that knows how much of it was read."""

    def __init__(self, stream: Any, environ: dict[str, Any]) -> None:
        self._stream = stream
        self._is_chunked = bool(environ.get("HTTP_TRANSFER_ENCODING"))
        length = environ.get("CONTENT_LENGTH") or "0"
        self._left = int(length) if length.isdigit() else 0
        self._has_ended = self._has_failed = False

    @property
    def is_left_unread(self) -> bool:
        if self._has_failed:
            return True
        return not self._has_ended if self._is_chunked else self._left > DRAINED_BYTES

    def read(self, size: int = -1) -> bytes:
        return self._counted(self._stream.read, size)

    def readline(self, size: int = -1) -> bytes:
        return self._counted(self._stream.readline, size)

    def _counted(self, read: Callable[[int], bytes], size: int) -> bytes:
        try:
            data = read(size)
        except Exception:
            self._has_failed = True
            raise
        self._left -= len(data)
        self._has_ended = self._has_ended or size < 0 or len(data) < size
        return data
