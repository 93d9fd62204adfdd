"""TCP ports for processes that take their port from the command line."""

from __future__ import annotations

import os
import random
import socket

# Below the ports that systems give to outgoing connections (Linux from 32768, others from 49152): such a connection
# could take the port before the process listens on it.
FIRST, LAST = 12000, 32000
_next = random.Random(os.getpid()).randrange(FIRST, LAST)  # other workers and runs begin elsewhere


def free_port() -> int:
    """A port on which nothing listens. This process gives each one only once in a long while."""
    global _next
    while True:
        _next = FIRST if _next == LAST else _next + 1
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", _next))
            except OSError:
                continue
            return _next
