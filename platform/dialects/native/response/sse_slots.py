"""How many event streams may be open in this process: each holds one of the web server's threads."""

from __future__ import annotations

import threading
from collections import Counter

from django.conf import settings
from django.utils.translation import gettext as _

from dialects.native.errors import Problem

RETRY_S = 5


class Slots:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: Counter[int] = Counter()

    def take(self, source_id: int) -> None:
        with self._lock:
            mine_are_taken = self._open[source_id] >= settings.EVENT_STREAMS_PER_SOURCE
            if mine_are_taken or self._open.total() >= settings.EVENT_STREAMS:
                raise _too_many()
            self._open[source_id] += 1

    def give_back(self, source_id: int) -> None:
        with self._lock:
            self._open[source_id] -= 1

    def taken(self, source_id: int) -> int:
        return self._open[source_id]


def _too_many() -> Problem:
    detail = _("Too many event streams are open. Close one, or ask for the job now and then.")
    headers = {"Retry-After": str(RETRY_S)}
    return Problem(429, "too_many_streams", detail, headers=headers, retry_after=RETRY_S)


slots = Slots()
