"""Counting. ``note`` is for the hot path: it adds up in memory, and a thread writes the sums every few seconds."""

from __future__ import annotations

import atexit
import json
import logging
import threading
import time
from collections import Counter

from django.db import DatabaseError, close_old_connections, connection
from django.db.models import F

from .models import Tally

log = logging.getLogger(__name__)

WRITE_EVERY_S = 5.0
LONGEST_LABEL = 64  # a name that a stranger chose is not stored at any length

_lock = threading.Lock()
_noted: Counter[tuple[str, str]] = Counter()


def note(name: str, amount: float = 1, **labels: str) -> None:
    key = name, labels_of(labels)
    with _lock:
        _noted[key] += amount  # type: ignore[assignment]


def add(name: str, amount: float, **labels: str) -> None:
    """In the transaction under way."""
    _write(name, labels_of(labels), amount)


def labels_of(labels: dict[str, str]) -> str:
    short = {name: str(value)[:LONGEST_LABEL] for name, value in labels.items()}
    return json.dumps(short, sort_keys=True, ensure_ascii=False)


def flush() -> None:
    """Writes what was noted in this process. What cannot be written is kept for the next time."""
    with _lock:
        noted = dict(_noted)
        _noted.clear()
    for key in sorted(noted):  # in one order, so that no two processes wait for each other
        try:
            _write(*key, noted[key])
        except DatabaseError:
            log.warning("a tally could not be written", exc_info=True)
            with _lock:
                _noted[key] += noted[key]


def _write(name: str, labels: str, amount: float) -> None:
    tally = Tally.objects.filter(name=name, labels=labels)
    if not tally.update(value=F("value") + amount):
        Tally.objects.get_or_create(name=name, labels=labels)
        tally.update(value=F("value") + amount)


def keep_writing() -> None:
    """Called once in every process that notes anything for long."""
    threading.Thread(target=_run, name="tallies", daemon=True).start()
    atexit.register(flush)


def _run() -> None:
    while True:
        time.sleep(WRITE_EVERY_S)
        try:
            close_old_connections()
            flush()
        except Exception:
            log.exception("writing tallies failed")
            connection.close()
