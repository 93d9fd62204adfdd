"""Waiting for a job to end, from any number of threads of a web process, with one watcher for all of them.

The watcher listens. As a safety net it looks at the table now and then, for those who have waited for a while.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import defaultdict

import psycopg
from django.db import Error as DatabaseError
from django.db import connection

from . import wakeups
from .models import TERMINAL, Job

log = logging.getLogger(__name__)

SAFETY_POLL_S = 1.0
LINGER_S = 30.0  # how long the watcher outlives its last waiter


def wait_for(job_id: uuid.UUID, timeout_s: float) -> Job:
    """The job as it is when it ended, or when the time is up."""
    ended = threading.Event()
    # Registered before the first look, so that an end between the look and the wait is not missed.
    _watcher.add(job_id, ended)
    try:
        if Job.objects.values_list("state", flat=True).get(pk=job_id) not in TERMINAL:
            ended.wait(timeout_s)
        return Job.objects.select_related("checkpoint").defer("checkpoint__metadata").get(pk=job_id)
    finally:
        _watcher.remove(job_id, ended)


class Watcher:
    """Its thread starts with the first waiter and ends when nobody has waited for a while."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiters: defaultdict[uuid.UUID, set[threading.Event]] = defaultdict(set)
        self._since: dict[uuid.UUID, float] = {}  # of the first who waits for it; time.monotonic, as below
        self._thread: threading.Thread | None = None
        self._someone = threading.Event()
        self._next_look = 0.0  # at the table
        self._everybody = True  # also at the jobs that somebody has waited for only just now

    def add(self, job_id: uuid.UUID, ended: threading.Event) -> None:
        with self._lock:
            self._waiters[job_id].add(ended)
            self._since.setdefault(job_id, time.monotonic())
            self._someone.set()
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="job-watcher", daemon=True)
                self._thread.start()

    def remove(self, job_id: uuid.UUID, ended: threading.Event) -> None:
        with self._lock:
            self._waiters[job_id].discard(ended)
            if not self._waiters[job_id]:
                del self._waiters[job_id], self._since[job_id]
            if not self._waiters:
                self._someone.clear()

    def _run(self) -> None:
        ear = wakeups.ear(wakeups.ENDED)
        self._look_at_once()
        try:
            while self._wanted():
                self._turn(ear)
        finally:
            ear.close()
            connection.close()

    def _wanted(self) -> bool:
        """Waits for a waiter; False once nobody came for LINGER_S, and then no thread is running any more."""
        if self._someone.wait(LINGER_S):
            return True
        with self._lock:
            if self._waiters:
                return True
            self._thread = None
            return False

    def _turn(self, ear: wakeups.Ear) -> None:
        try:
            ear.open()
            if time.monotonic() >= self._next_look:
                self._look()
            self._wake({uuid.UUID(payload) for payload in ear.hear(SAFETY_POLL_S)})
        except (DatabaseError, psycopg.Error, OSError):
            log.exception("The watcher of jobs lost the database; it tries again.")
            connection.close()
            self._look_at_once()
            time.sleep(SAFETY_POLL_S)

    def _look_at_once(self) -> None:
        """At all jobs that somebody waits for: their ends may have been missed."""
        self._next_look, self._everybody = 0.0, True

    def _look(self) -> None:
        now = time.monotonic()
        with self._lock:
            awaited = [
                job_id
                for job_id, since in self._since.items()
                if self._everybody or since <= now - SAFETY_POLL_S
            ]
        if awaited:
            self._wake(self._ended(awaited))
        self._next_look, self._everybody = now + SAFETY_POLL_S, False

    def _ended(self, awaited: list[uuid.UUID]) -> set[uuid.UUID]:
        return set(Job.objects.filter(pk__in=awaited, state__in=TERMINAL).values_list("pk", flat=True))

    def _wake(self, ended: set[uuid.UUID]) -> None:
        with self._lock:
            for job_id in ended:
                for event in self._waiters.get(job_id, ()):
                    event.set()


_watcher = Watcher()
