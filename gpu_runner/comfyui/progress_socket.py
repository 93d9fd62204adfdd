"""Websocket client for progress and previews. The outcome of a prompt is read from the history instead."""

from __future__ import annotations

import contextlib
import json
import queue
import struct
import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from gpu_runner.comfyui import credentials
from gpu_runner.protocol import ServerCredentials

MAX_FRAME = 32 * 2**20  # error messages can contain dumps of tensors
# The server must have noticed the end of the old socket, or it would drop the new one with the same client id.
RECONNECT_DELAY_S = 1.0
FEATURE_FLAGS = json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
PREVIEW, PREVIEW_WITH_METADATA = 1, 4
PNG = 2  # format of a PREVIEW frame; previews are JPEG files (1)


@dataclass(frozen=True)
class ProgressMessage:
    """Type and data of a text frame, or a preview image."""

    type: str
    data: dict[str, Any]
    image: bytes = b""


class ProgressSocket:
    """Connection of one client id, which reconnects until it is closed."""

    def __init__(self, url: str, client_id: str, known: ServerCredentials) -> None:
        self._credentials = known
        parts = urlsplit(url)
        scheme = "wss" if parts.scheme == "https" else "ws"
        path = parts.path.rstrip("/") + "/ws"
        self._url = urlunsplit((scheme, parts.netloc, path, urlencode({"clientId": client_id}), ""))
        self._messages: queue.SimpleQueue[ProgressMessage] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._open = threading.Event()
        self._socket: ClientConnection | None = None

    def start(self, timeout_s: float = 3.0) -> None:
        """Connect in a thread and wait up to ``timeout_s`` for it, because earlier messages are not repeated."""
        threading.Thread(target=self._run, name="progress-socket", daemon=True).start()
        self._open.wait(timeout_s)

    def next(self, timeout_s: float) -> ProgressMessage | None:
        """Return the next message, or None after ``timeout_s``."""
        with contextlib.suppress(queue.Empty):
            return self._messages.get(timeout=max(0.001, timeout_s))
        return None

    def close(self) -> None:
        """Close the connection without waiting."""
        self._closed.set()
        if self._socket is not None:
            threading.Thread(target=self._socket.close, daemon=True).start()

    def _run(self) -> None:
        while not self._closed.is_set():
            with contextlib.suppress(OSError, WebSocketException, TimeoutError):
                self._listen()
            self._closed.wait(RECONNECT_DELAY_S)

    def _listen(self) -> None:
        tls = credentials.tls_context(self._credentials) if self._url.startswith("wss:") else None
        with connect(
            self._url,
            additional_headers=credentials.headers(self._credentials),
            ssl=tls,
            max_size=MAX_FRAME,
            proxy=None,
            open_timeout=10,
            close_timeout=2,
        ) as socket:
            self._socket = socket
            socket.send(FEATURE_FLAGS)
            for frame in socket:
                message = _text(frame) if isinstance(frame, str) else _binary(frame)
                if message is not None:
                    self._messages.put(message)
                self._open.set()  # the server sends its status first
                if self._closed.is_set():
                    return


def _text(frame: str) -> ProgressMessage | None:
    try:
        message = json.loads(frame)
        return ProgressMessage(str(message["type"]), dict(message["data"]))
    except (ValueError, KeyError, TypeError):
        return None


def _binary(frame: bytes) -> ProgressMessage | None:
    if len(frame) < 8:
        return None
    event, number = struct.unpack(">II", frame[:8])
    if event == PREVIEW:
        image_type = "image/png" if number == PNG else "image/jpeg"
        return ProgressMessage("preview", {"image_type": image_type}, frame[8:])
    if event == PREVIEW_WITH_METADATA and 8 + number <= len(frame):
        metadata = _text(f'{{"type": "preview", "data": {frame[8 : 8 + number].decode(errors="replace")}}}')
        return ProgressMessage("preview", metadata.data if metadata else {}, frame[8 + number :])
    return None
