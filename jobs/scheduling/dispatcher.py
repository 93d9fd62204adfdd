"""Dispatcher: claims queued jobs for the workers of this host, up to the free slots of its runner."""

from __future__ import annotations

import logging
import time
import uuid

from django.db import close_old_connections, connection

from jobs.execution import lifecycle, notifications
from jobs.execution.lifecycle import Lease
from jobs.execution.runner_monitor import RunnerWatch
from jobs.models import Runner

from . import policy, queue_snapshot

log = logging.getLogger(__name__)

LISTEN_S = 0.5  # polling interval of the queue; also the maximum delay in noticing the stop signal
BACK_OFF_S = 2.0  # after an error: the database may be starting


class Dispatcher:
    """Claims jobs for one runner. Not fork-safe: create it in the process that uses it."""

    def __init__(self, runner_name: str, workers: int) -> None:
        self.runner_name = runner_name
        self.workers = workers
        self._look_at_once = True
        self._listener = notifications.listener(notifications.WORK)
        RunnerWatch(runner_name).start()

    def take(self) -> list[Lease]:
        """Return leases of the jobs to start now; an empty list after LISTEN_S without any. Never raises."""
        try:
            close_old_connections()
            self._listener.open()  # before the query, so that a notification between query and wait is received
            if not self._look_at_once:
                self._listener.wait(LISTEN_S)
            chosen, leases = choose_and_claim(self.runner_name, self.workers)
            # Other jobs may be startable if a claim failed, or if the policy saw only a part of the queue.
            self._look_at_once = len(leases) < len(chosen) or len(chosen) >= policy.WINDOW
            return leases
        except Exception:
            log.exception("claiming jobs failed; trying again")
            self._look_at_once = True
            connection.close()
            time.sleep(BACK_OFF_S)
            return []


def claim_next(runner_name: str, workers: int) -> list[Lease]:
    """Claim the jobs that the policy chooses from a snapshot of the queue."""
    return choose_and_claim(runner_name, workers)[1]


def choose_and_claim(runner_name: str, workers: int) -> tuple[list[uuid.UUID], list[Lease]]:
    """Choose jobs by the policy and claim them.

    Returns the chosen jobs, and the leases of those that were claimed: another cluster may have been faster.
    """
    runner = (
        Runner.objects.defer("token", "server_secret", "server_ca", "figures", "nodes", "file_lists")
        .filter(name=runner_name)
        .first()
    )
    if runner is None:
        return [], []
    chosen = queue_snapshot.read(runner, workers).choose()
    if runner.hand_over_lost_at is not None:  # try with one job whether the workers begin jobs again
        chosen = chosen[:1]
    claims = [lifecycle.claim(job_id, runner) for job_id in chosen]
    return chosen, [lease for lease in claims if lease is not None]
