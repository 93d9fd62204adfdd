"""Sending callbacks beside each other in a worker of the background cluster.

A receiver that never answers is waited for by a thread, and holds up neither the worker nor other sources' callbacks.
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
SOON_S = 1.0  # a call that takes longer is not waited for by the next of its source
LATER_S = 5.0  # after which one that finds no place tries again


def start(callback_id: str, attempt: int) -> None:
    """What the cluster calls. The outbox's lease outlives this process: a call that dies with it is made again."""
    callback = Callback.objects.filter(pk=callback_id).select_related("job").first()
    if callback is None:  # its job was deleted
        return
    if not _senders().take_over(callback.job.source_id, callback_id, attempt):
        outbox.postpone(callback, timezone.now() + timedelta(seconds=LATER_S))


class SenderPool:
    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, "callbacks")
        self._begun: dict[
            tuple[str, int], tuple[int, float]
        ] = {}  # what is being sent: its source, since when
        self._changed = Condition()

    def take_over(self, source_id: int, callback_id: str, attempt: int) -> bool:
        """False when there is no place, and none is likely to become free soon."""
        entry = callback_id, attempt
        with self._changed:
            if entry in self._begun:  # it was put on the list twice
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
    """Made in the worker that uses it, never before a fork."""
    return SenderPool()
