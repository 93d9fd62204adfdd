"""gunicorn's threaded worker, for clients that keep their connections: whoever accepts one has all its requests.

* A less loaded worker takes a new connection first. Whichever process wakes first accepts, and that is often the same one
  again, until it serves all clients while another has nothing to do.
* A worker that has far more than another lets its clients come anew. They all came to it while the other was starting.
* A thread stays with its connection for a moment, if there are enough. The way from the thread that answers to the one
  that watches all connections, and back with the next request, takes as long as reading the request does.
"""

from __future__ import annotations

import gc
import mmap
import select
import socket
import struct
import time
from typing import TYPE_CHECKING

from gunicorn.workers.gthread import ThreadWorker

if TYPE_CHECKING:
    from gunicorn.http.message import Request
    from gunicorn.workers.gthread import TConn

MOST_WORKERS = 256
YIELD_S = 0.002  # so long a more loaded one waits; if nobody takes the connection in this time, it does
FRESH_S = 5.0  # a worker tells its load once a second at least; who does not is dead, or stuck
FAR_MORE, AND_SOME = 1.5, 3  # times another's connections, and so many more: few are never even
STAY_MS = 20
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

    def handle(self, conn: TConn) -> object:
        kept = super().handle(conn)
        while kept is True and self._has_threads_enough() and asks_again(conn):
            kept = super().handle(conn)
        return kept

    def handle_request(self, req: Request, conn: TConn) -> bool:
        if self.nr_conns > FAR_MORE * least_load() + AND_SOME:
            req.force_close()
        return super().handle_request(req, conn)

    def _has_threads_enough(self) -> bool:
        return self.alive and self.nr_conns <= self.cfg.threads


def least_load() -> float:
    """Connections of the worker that has the fewest."""
    since = time.monotonic() - FRESH_S
    return min((load for told_at, load in TOLD.iter_unpack(_told) if told_at > since), default=0)


def asks_again(conn: TConn) -> bool:
    """Within a moment. What was read already with the request before is for gunicorn to find."""
    if conn.is_http2 or conn.parser.unreader.buf.getvalue():
        return False
    socket_of_client = select.poll()
    socket_of_client.register(conn.sock, select.POLLIN)
    return bool(socket_of_client.poll(STAY_MS))
