"""Handing queued jobs to this host's generation workers, as many as its runner has free slots for."""

from __future__ import annotations

import logging
import time
import uuid

from django.db import close_old_connections, connection

from . import board, lifecycle, wakeups
from .lifecycle import Lease
from .runner_watch import RunnerWatch

log = logging.getLogger(__name__)

LISTEN_S = (
    0.5  # a rung bell ends it earlier; so late at most does the cluster notice that it is asked to stop
)
BACK_OFF_S = 2.0  # after an error: the database may be starting


class Dispatcher:
    """Made in the process that uses it, never before a fork."""

    def __init__(self, runner_name: str, workers: int) -> None:
        self.runner_name = runner_name
        self.workers = workers
        self._ear = wakeups.ear(wakeups.WORK)
        RunnerWatch(runner_name).start()

    def take(self) -> list[Lease]:
        """Leases on the jobs to start now; empty after a short wait without any. Never raises."""
        try:
            close_old_connections()
            self._ear.open()  # before looking, so that a bell between the look and the wait is heard
            leases = claim_next(self.runner_name, self.workers)
            if not leases:
                self._ear.hear(LISTEN_S)
            return leases
        except Exception:
            log.exception("handing out jobs failed; trying again")
            connection.close()
            time.sleep(BACK_OFF_S)
            return []


def claim_next(runner_name: str, workers: int) -> list[Lease]:
    seen = board.glance(runner_name)
    if seen is None or not seen.queued:
        return []
    chosen: list[uuid.UUID] = board.read(seen, workers).choose()
    leases = [lifecycle.claim(job_id, seen.runner) for job_id in chosen]
    return [lease for lease in leases if lease is not None]
