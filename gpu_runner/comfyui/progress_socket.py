"""A prompt's events over the websocket. They are for progress and previews: what became of a prompt, the history says."""

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

MAX_FRAME = 32 * 2**20  # an error's frame carries dumps of tensors
AGAIN_S = (
    1.0  # before it connects again: the server must have seen the old socket's end, or it forgets the new one
)
HELLO = json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
PREVIEW, PREVIEW_WITH_METADATA = 1, 4


@dataclass(frozen=True)
class ProgressMessage:
    """A text frame's type and data, or a preview."""

    type: str
    data: dict[str, Any]
    picture: bytes = b""


class ProgressSocket:
    def __init__(self, url: str, client_id: str) -> None:
        parts = urlsplit(url)
        scheme = "wss" if parts.scheme == "https" else "ws"
        path = parts.path.rstrip("/") + "/ws"
        self._url = urlunsplit((scheme, parts.netloc, path, urlencode({"clientId": client_id}), ""))
        self._heard: queue.SimpleQueue[ProgressMessage] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._open = threading.Event()
        self._socket: ClientConnection | None = None

    def start(self, patience_s: float = 3.0) -> None:
        """Waits a little until it is connected: what is said before is not said again."""
        threading.Thread(target=self._run, name="ear", daemon=True).start()
        self._open.wait(patience_s)

    def next(self, timeout_s: float) -> ProgressMessage | None:
        with contextlib.suppress(queue.Empty):
            return self._heard.get(timeout=max(0.001, timeout_s))
        return None

    def close(self) -> None:
        self._closed.set()
        if self._socket is not None:
            threading.Thread(target=self._socket.close, daemon=True).start()

    def _run(self) -> None:
        while not self._closed.is_set():
            with contextlib.suppress(OSError, WebSocketException, TimeoutError):
                self._listen()
            self._closed.wait(AGAIN_S)

    def _listen(self) -> None:
        with connect(self._url, max_size=MAX_FRAME, proxy=None, open_timeout=10, close_timeout=2) as socket:
            self._socket = socket
            socket.send(HELLO)
            for frame in socket:
                heard = _text(frame) if isinstance(frame, str) else _binary(frame)
                if heard is not None:
                    self._heard.put(heard)
                self._open.set()  # the first frame is the server's greeting
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
        return ProgressMessage("preview", {}, frame[8:])
    if event == PREVIEW_WITH_METADATA and 8 + number <= len(frame):
        metadata = _text(f'{{"type": "preview", "data": {frame[8 : 8 + number].decode(errors="replace")}}}')
        return ProgressMessage("preview", metadata.data if metadata else {}, frame[8 + number :])
    return None
