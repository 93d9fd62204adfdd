"""gunicorn's threaded worker, which lets a less loaded one take a new connection first.

Clients keep their connections, and whoever accepts one has all its requests. Whichever process wakes first accepts, and that is
often the same one again, until it serves all clients while another has nothing to do.
"""

from __future__ import annotations

import gc
import mmap
import socket
import struct
import time

from gunicorn.workers.gthread import ThreadWorker

MOST_WORKERS = 256
YIELD_S = 0.002  # so long a more loaded one waits; if nobody takes the connection in this time, it does
FRESH_S = 5.0  # a worker tells its load once a second at least; who does not is dead, or stuck
TOLD = struct.Struct("dd")  # when, by the host's monotonic clock, and how many connections
_told = mmap.mmap(-1, MOST_WORKERS * TOLD.size)  # shared with every process that is forked from this one


class WebWorker(ThreadWorker):
    def run(self) -> None:
        # What is there before the first request stays: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        super().run()

    def notify(self) -> None:
        super().notify()
        place = self.age % MOST_WORKERS * TOLD.size
        TOLD.pack_into(_told, place, time.monotonic(), self.nr_conns)

    def accept(self, listener: socket.socket) -> None:
        if self.nr_conns > least_load():
            time.sleep(YIELD_S)
        super().accept(listener)


def least_load() -> float:
    """Connections of the worker that has the fewest."""
    since = time.monotonic() - FRESH_S
    return min((load for told_at, load in TOLD.iter_unpack(_told) if told_at > since), default=0)
