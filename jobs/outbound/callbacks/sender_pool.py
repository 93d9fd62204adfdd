"""Thread pool that sends callbacks concurrently in a worker of the background cluster.

A receiver that does not respond occupies one thread; it blocks neither the worker nor the callbacks of other
sources.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cache
from threading import Condition

from django.db import connection
from django.utils import timezone

from jobs.models.callback import Callback

from . import outbox
from .delivery import deliver

log = logging.getLogger(__name__)

AT_ONCE = 12
OF_A_SOURCE = 4
SOON_S = 1.0  # if the source's last call has run longer, the next one is postponed, without waiting
LATER_S = 5.0  # delay of a callback that found no free slot


def start(callback_id: str, attempt: int) -> None:
    """Task of the background cluster: send one attempt, or postpone it if no slot is free.

    If this process dies, the lease in the outbox expires, and the call is sent again.
    """
    callback = Callback.objects.filter(pk=callback_id).select_related("job").first()
    if callback is None:  # its job was deleted
        return
    if not _senders().take_over(callback.job.source_id, callback_id, attempt):
        outbox.postpone(callback, timezone.now() + timedelta(seconds=LATER_S))


class SenderPool:
    """At most ``AT_ONCE`` concurrent calls, and ``OF_A_SOURCE`` per source."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, "callbacks")
        self._begun: dict[
            tuple[str, int], tuple[int, float]
        ] = {}  # (callback, attempt) being sent: source, start time
        self._changed = Condition()

    def take_over(self, source_id: int, callback_id: str, attempt: int) -> bool:
        """Submit an attempt. Returns False if no slot is free, and none is expected within ``SOON_S``."""
        entry = callback_id, attempt
        with self._changed:
            if entry in self._begun:  # the task was queued twice
                return True
            while not self._has_room(source_id):
                wait = max(self._since(source_id), default=0.0) + SOON_S - time.monotonic()
                if wait <= 0 or not self._changed.wait(wait):
                    return False
            self._begun[entry] = source_id, time.monotonic()
        self._threads.submit(self._send, entry)
        return True

    def _has_room(self, source_id: int) -> bool:
        return len(self._begun) < AT_ONCE and len(self._since(source_id)) < OF_A_SOURCE

    def _since(self, source_id: int) -> list[float]:
        return [since for source, since in self._begun.values() if source == source_id]

    def _send(self, entry: tuple[str, int]) -> None:
        try:
            deliver(*entry)
        except Exception:
            log.exception("callback %s could not be sent", entry[0])
        finally:
            connection.close()
            with self._changed:
                del self._begun[entry]
                self._changed.notify_all()


@cache
def _senders() -> SenderPool:
    """Pool of this process. Created on first use, because threads do not survive a fork."""
    return SenderPool()
