"""Calls that outlast a restart of the database."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

log = logging.getLogger(__name__)

Result = TypeVar("Result")

OUTAGES = (
    OperationalError,
    InterfaceError,
)  # the connection was lost or refused, or the database is overloaded
RETRY_S = 0.5


def through_outage(call: Callable[[], Result], timeout_s: float) -> Result:
    """Repeat the call on a new connection until it is not interrupted, for at most ``timeout_s`` seconds.

    An interrupted call may have committed; the call has to be one that may be repeated then.
    """
    until = time.monotonic() + timeout_s
    while True:
        try:
            return call()
        except OUTAGES as error:
            if time.monotonic() >= until or connection.in_atomic_block:
                raise
            log.warning("the database was not reachable, trying again: %s", error)
            connection.close()
            time.sleep(RETRY_S)
