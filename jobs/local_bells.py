"""Bells between the processes of one host, for a database that cannot ring: datagrams to sockets in a folder.

An ear is a socket file named after its channel; to ring is to send a datagram to every such file. Nothing is kept: an ear
that is gone is swept away, one that is full has enough to wake up for.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import socket
from collections.abc import Iterator
from pathlib import Path

LONGEST_PAYLOAD = 200


class LocalEar:
    def __init__(self, folder: Path, channel: str) -> None:
        self._folder, self._channel = folder, channel
        self._socket: socket.socket | None = None
        self._name = ""

    def open(self) -> None:
        if self._socket is not None:
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._name = f"{self._channel}.{os.getpid()}-{secrets.token_hex(4)}"
        with _short(self._folder) as short:
            opened.bind(f"{short}/{self._name}")
        self._socket = opened

    def hear(self, timeout_s: float) -> list[str]:
        """Payloads rung since the last call; waits for one, at most ``timeout_s``."""
        self.open()
        assert self._socket is not None
        select.select([self._socket], [], [], timeout_s)
        heard = []
        with contextlib.suppress(BlockingIOError):
            while True:
                heard.append(self._socket.recv(LONGEST_PAYLOAD).decode())
        return heard

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            (self._folder / self._name).unlink(missing_ok=True)


def ring(folder: Path, channel: str, payload: str) -> None:
    """Never waits, and fails at nothing: whoever does not hear it looks for himself before long."""
    if not folder.is_dir():
        return
    with (
        _short(folder) as short,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as mouth,
    ):
        for ear in folder.glob(f"{channel}.*"):
            try:
                mouth.sendto(payload.encode(), f"{short}/{ear.name}")
            except ConnectionRefusedError:  # nobody listens there any more
                ear.unlink(missing_ok=True)
            except OSError:
                continue


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[str]:
    """A path of the folder that fits into a socket's address, which takes about a hundred bytes."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)
