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

MAX_CONCURRENT = 12
MAX_PER_SOURCE = 4
MAX_WAIT_S = 1.0  # if the source's last call has run longer, the next one is postponed, without waiting
POSTPONE_S = 5.0  # delay of a callback that found no free slot


def start(callback_id: str, attempt: int) -> None:
    """Task of the background cluster: send one attempt, or postpone it if no slot is free.

    If this process dies, the lease in the outbox expires, and the call is sent again.
    """
    callback = Callback.objects.filter(pk=callback_id).select_related("job", "intake").first()
    if callback is None:  # its job was deleted
        return
    if not pool().submit(callback.subject.source_id, callback_id, attempt):
        outbox.postpone(callback, timezone.now() + timedelta(seconds=POSTPONE_S))


class SenderPool:
    """At most ``MAX_CONCURRENT`` concurrent calls, and ``MAX_PER_SOURCE`` per source."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(MAX_CONCURRENT, "callbacks")
        self._active: dict[
            tuple[str, int], tuple[int, float]
        ] = {}  # (callback, attempt) being sent: source, start time
        self._changed = Condition()

    def submit(self, source_id: int, callback_id: str, attempt: int) -> bool:
        """Submit an attempt. Returns False if no slot is free, and none is expected within ``MAX_WAIT_S``."""
        entry = callback_id, attempt
        with self._changed:
            if entry in self._active:  # the task was queued twice
                return True
            while not self._has_free_slot(source_id):
                wait = max(self._start_times(source_id), default=0.0) + MAX_WAIT_S - time.monotonic()
                if wait <= 0 or not self._changed.wait(wait):
                    return False
            self._active[entry] = source_id, time.monotonic()
        self._threads.submit(self._send, entry)
        return True

    def close(self) -> None:
        """Wait for the calls in progress. No attempt can be submitted afterwards."""
        self._threads.shutdown()

    def _has_free_slot(self, source_id: int) -> bool:
        return len(self._active) < MAX_CONCURRENT and len(self._start_times(source_id)) < MAX_PER_SOURCE

    def _start_times(self, source_id: int) -> list[float]:
        return [since for source, since in self._active.values() if source == source_id]

    def _send(self, entry: tuple[str, int]) -> None:
        try:
            deliver(*entry)
        except Exception:
            log.exception("callback %s could not be sent", entry[0])
        finally:
            connection.close()
            with self._changed:
                del self._active[entry]
                self._changed.notify_all()


@cache
def pool() -> SenderPool:
    """Pool of this process. Created on first use, because threads do not survive a fork."""
    return SenderPool()
