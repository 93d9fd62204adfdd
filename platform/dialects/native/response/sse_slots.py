"""Limit of open event streams in this process. Each stream occupies a thread of the web server."""

from __future__ import annotations

import threading
from collections import Counter

from django.conf import settings
from django.utils.translation import gettext as _

from dialects.native.errors import Problem

RETRY_S = 5


class Slots:
    """Counts the open streams of each source, by its primary key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: Counter[int] = Counter()

    def acquire(self, source_id: int) -> None:
        """Raises Problem 429 if the source, or the process, has the maximum of streams open."""
        with self._lock:
            source_is_full = self._open[source_id] >= settings.EVENT_STREAMS_PER_SOURCE
            if source_is_full or self._open.total() >= settings.EVENT_STREAMS:
                raise _too_many()
            self._open[source_id] += 1

    def release(self, source_id: int) -> None:
        with self._lock:
            self._open[source_id] -= 1

    def open_streams(self, source_id: int) -> int:
        return self._open[source_id]


def _too_many() -> Problem:
    detail = _("Too many open event streams. Close one, or poll the job.")
    headers = {"Retry-After": str(RETRY_S)}
    return Problem(429, "too_many_streams", detail, headers=headers, retry_after=RETRY_S)


slots = Slots()
