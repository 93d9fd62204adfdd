"""Queue and flag between the processes of a cluster that survive the death of any of them.

``multiprocessing.Queue`` and ``multiprocessing.Event`` hold locks in shared memory. A process that is killed while it
holds one, as every worker does that waits for a task, leaves it locked for all others. Here the kernel passes the
items, so a killed process holds nothing. At most the item that it had just received is lost.
"""

from __future__ import annotations

import os
import pickle
import select
import socket
import struct
import time
from multiprocessing.sharedctypes import RawValue
from typing import Any

STOP = "STOP"  # what worker and monitor of django-q2 end at
WAIT_S = 0.5  # maximum delay in noticing that the queue was closed, or that the parent process died


class Flag:
    """A shared flag without a lock. For child processes it is also set when the process that created it has died."""

    def __init__(self) -> None:
        self._value = RawValue("b", 0)
        self._creator = os.getpid()

    def set(self) -> None:
        self._value.value = 1

    def is_set(self) -> bool:
        return bool(self._value.value) or self._is_orphaned()

    def wait(self, timeout_s: float) -> bool:
        """Return after ``timeout_s`` seconds whether the flag is set, or at once if it is set already."""
        if not self.is_set():
            time.sleep(timeout_s)
        return self.is_set()

    def _is_orphaned(self) -> bool:
        return self._creator not in (os.getpid(), os.getppid())


class TaskQueue:
    """The part of ``multiprocessing.Queue`` that django-q2 uses.

    An item is a file in memory, whose descriptor is sent as one datagram: of any size, and received by exactly one
    process.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        timeout = struct.pack("ll", 0, int(WAIT_S * 1e6))
        # Timeouts of the kernel, not of the socket module, which would wake all waiting processes for each item.
        self._reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
        self._writer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
        self._closed = Flag()

    def put(self, item: Any) -> None:
        """Append an item. Waits while the kernel's queue is full, unless the queue is closed."""
        with os.fdopen(os.memfd_create("task"), "wb") as file:
            pickle.dump(item, file)
            file.flush()
            while True:
                try:
                    socket.send_fds(self._writer, [b"."], [file.fileno()])
                    return
                except BlockingIOError:
                    if self._closed.is_set():
                        return

    def get(self) -> Any:
        """The next item; STOP when the queue is empty and closed, or its creator has died."""
        while True:
            try:
                _data, (descriptor,), _flags, _address = socket.recv_fds(self._reader, 1, 1)
            except BlockingIOError:
                if self._closed.is_set():
                    return STOP
                continue
            with os.fdopen(descriptor, "rb") as file:
                file.seek(0)
                return pickle.load(file)

    def close(self) -> None:
        """Let the readers end after the last item."""
        self._closed.set()

    def empty(self) -> bool:
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        return not poll.poll(0)

    def qsize(self) -> int:
        """1 if there are items, else 0: the kernel does not tell how many."""
        return int(not self.empty())
