"""Wait for jobs to end, in any number of threads of a web process, with one shared watcher thread.

The watcher listens for notifications and polls the table: as a fallback on PostgreSQL, as the only means on
SQLite.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable

import psycopg
from django.db import Error as DatabaseError
from django.db import connection

from jobs.models import TERMINAL, Job

from . import notifications
from .outages import through_outage

log = logging.getLogger(__name__)

POLL_S = 1.0  # the table is polled at least this often
OUTAGE_S = 10.0  # how long a restart of the database is waited for
IDLE_TIMEOUT_S = 30.0  # the watcher thread exits after this long without waiters
CHECK_S = 1.0  # between two calls of ``is_abandoned``


def wait_for(job_id: uuid.UUID, timeout_s: float, is_abandoned: Callable[[], bool] = lambda: False) -> Job:
    """Wait until a job ends, at most ``timeout_s`` seconds, and return the job. Raises Job.DoesNotExist.

    Returns earlier if ``is_abandoned``, which is called every CHECK_S seconds.
    """
    ended = threading.Event()
    # Registered before the state is read, so that an end between the query and the wait is not missed.
    _watcher.add(job_id, ended)
    try:
        state = Job.objects.values_list("state", flat=True)
        if through_outage(lambda: state.get(pk=job_id), timeout_s) not in TERMINAL:
            _wait(ended, timeout_s, is_abandoned)
        read = Job.objects.select_related("checkpoint").defer("checkpoint__metadata")
        return through_outage(lambda: read.get(pk=job_id), OUTAGE_S)
    finally:
        _watcher.remove(job_id, ended)


def is_waited_for(job_id: uuid.UUID) -> bool:
    """Whether a thread of this process waits for the job."""
    return _watcher.has_waiter(job_id)


def _wait(ended: threading.Event, timeout_s: float, is_abandoned: Callable[[], bool]) -> None:
    until = time.monotonic() + timeout_s
    while not ended.wait(min(CHECK_S, max(0.0, until - time.monotonic()))):
        if time.monotonic() >= until or is_abandoned():
            return
        if not connection.in_atomic_block:
            connection.close()  # a long wait needs none; the next query opens another


class Watcher:
    """Shared watcher thread. Starts with the first waiter; exits ``IDLE_TIMEOUT_S`` after the last one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiters: defaultdict[uuid.UUID, set[threading.Event]] = defaultdict(set)
        self._thread: threading.Thread | None = None
        self._has_waiters = threading.Event()
        self._next_poll = 0.0  # time.monotonic

    def add(self, job_id: uuid.UUID, ended: threading.Event) -> None:
        with self._lock:
            self._waiters[job_id].add(ended)
            self._has_waiters.set()
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="job-watcher", daemon=True)
                self._thread.start()

    def remove(self, job_id: uuid.UUID, ended: threading.Event) -> None:
        with self._lock:
            self._waiters[job_id].discard(ended)
            if not self._waiters[job_id]:
                del self._waiters[job_id]
            if not self._waiters:
                self._has_waiters.clear()

    def has_waiter(self, job_id: uuid.UUID) -> bool:
        with self._lock:
            return job_id in self._waiters

    def _run(self) -> None:
        listener = notifications.listener(notifications.ENDED)
        self._next_poll = 0.0
        try:
            while self._is_needed():
                self._watch(listener)
        finally:
            listener.close()
            connection.close()

    def _is_needed(self) -> bool:
        """Wait for a waiter. After False, the thread has to exit, and the next waiter starts a new one."""
        if self._has_waiters.wait(IDLE_TIMEOUT_S):
            return True
        with self._lock:
            if self._waiters:
                return True
            self._thread = None
            return False

    def _watch(self, listener: notifications.Listener) -> None:
        try:
            listener.open()  # before the query, so that a notification between query and wait is received
            if time.monotonic() >= self._next_poll:
                self._poll()
            payloads = listener.wait(POLL_S)
            self._wake({uuid.UUID(payload) for payload in payloads})
            if not payloads:
                self._next_poll = 0.0
        except (DatabaseError, psycopg.Error, OSError):
            log.exception("The watcher of jobs lost the database; it tries again.")
            connection.close()
            self._next_poll = 0.0
            time.sleep(POLL_S)

    def _poll(self) -> None:
        with self._lock:
            awaited = list(self._waiters)
        if awaited:
            self._wake(self._ended(awaited))
        self._next_poll = time.monotonic() + POLL_S

    def _ended(self, awaited: list[uuid.UUID]) -> set[uuid.UUID]:
        return set(Job.objects.filter(pk__in=awaited, state__in=TERMINAL).values_list("pk", flat=True))

    def _wake(self, ended: set[uuid.UUID]) -> None:
        with self._lock:
            for job_id in ended:
                for event in self._waiters.get(job_id, ()):
                    event.set()


_watcher = Watcher()
