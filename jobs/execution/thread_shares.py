"""Limits of the web threads that waiting clients occupy: in each process, in total and per source."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings


class NoFreeThread(Exception):
    """The source, or the process, has reached its limit of waiting clients."""


class ThreadShares:
    """Counts the threads held for each source, by its primary key. The limits are the settings of these names."""

    def __init__(self, total: str, per_source: str) -> None:
        self._total, self._per_source = total, per_source
        self._lock = threading.Lock()
        self._held: Counter[int] = Counter()

    @contextmanager
    def hold(self, source_id: int) -> Iterator[None]:
        """Count the calling thread. Raises NoFreeThread."""
        self.acquire(source_id)
        try:
            yield
        finally:
            self.release(source_id)

    def acquire(self, source_id: int) -> None:
        """Raises NoFreeThread."""
        with self._lock:
            source_is_full = self._held[source_id] >= getattr(settings, self._per_source)
            if source_is_full or self._held.total() >= getattr(settings, self._total):
                raise NoFreeThread
            self._held[source_id] += 1

    def release(self, source_id: int) -> None:
        with self._lock:
            self._held[source_id] -= 1

    def held_by(self, source_id: int) -> int:
        return self._held[source_id]


event_streams = ThreadShares("EVENT_STREAMS", "EVENT_STREAMS_PER_SOURCE")
waiting_requests = ThreadShares("WAITING_REQUESTS", "WAITING_REQUESTS_PER_SOURCE")
