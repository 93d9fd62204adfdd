"""Handing queued jobs to this host's generation workers, as many as its runner has free slots for."""

from __future__ import annotations

import logging
import time
import uuid
from dataclasses import dataclass
from enum import Enum, auto

from django.db import close_old_connections, connection, transaction

from jobs.execution import lifecycle, notifications
from jobs.execution.lifecycle import Lease
from jobs.execution.runner_monitor import RunnerWatch
from jobs.models import Backend
from statements import pipelined, together

from . import queue_snapshot

log = logging.getLogger(__name__)

LISTEN_S = (
    0.5  # a rung bell ends it earlier; so late at most does the cluster notice that it is asked to stop
)
BACK_OFF_S = 2.0  # after an error: the database may be starting


class WaitReason(Enum):
    """What the last look left."""

    NOBODY = auto()
    SOMEBODY = auto()  # for whom there is no place
    UNKNOWN = auto()


@dataclass(frozen=True)
class Look:
    leases: list[Lease]
    waiting: WaitReason


class Dispatcher:
    """Made in the process that uses it, never before a fork."""

    def __init__(self, runner_name: str, workers: int) -> None:
        self.runner_name = runner_name
        self.workers = workers
        self._waiting = WaitReason.UNKNOWN
        self._ear = notifications.ear(notifications.WORK)
        RunnerWatch(runner_name).start()

    def take(self) -> list[Lease]:
        """Leases on the jobs to start now; empty after a short wait without any. Never raises."""
        try:
            close_old_connections()
            self._ear.open()  # before looking, so that a bell between the look and the wait is heard
            heard = set() if self._waiting == WaitReason.UNKNOWN else self._wait_for_a_reason()
            look = look_for_work(self.runner_name, self.workers, self._lone(heard))
            self._waiting = look.waiting
            return look.leases
        except Exception:
            log.exception("handing out jobs failed; trying again")
            self._waiting = WaitReason.UNKNOWN
            connection.close()
            time.sleep(BACK_OFF_S)
            return []

    def _wait_for_a_reason(self) -> set[str]:
        """To look again, as it was rung. A place is none if nobody waits for one."""
        end = time.monotonic() + LISTEN_S
        while (left := end - time.monotonic()) > 0:
            heard = set(self._ear.hear(left))
            if self._waiting == WaitReason.SOMEBODY or heard != {notifications.FREED}:
                return heard
        return set()

    def _lone(self, heard: set[str]) -> uuid.UUID | None:
        """The job that is likely to be the only one."""
        if self._waiting != WaitReason.NOBODY or len(heard) != 1:
            return None
        try:
            return uuid.UUID(heard.pop())
        except ValueError:
            return None


def claim_next(runner_name: str, workers: int) -> list[Lease]:
    return look_for_work(runner_name, workers).leases


def look_for_work(runner_name: str, workers: int, lone: uuid.UUID | None = None) -> Look:
    """``lone``: a job that is likely to be the only one that waits."""
    if lone is not None and (lease := _claim_alone(runner_name, workers, lone)):
        return Look([lease], WaitReason.NOBODY)
    seen = queue_snapshot.glance(runner_name)
    if seen is None or not seen.queued:
        return Look([], WaitReason.NOBODY)
    chosen: list[uuid.UUID] = queue_snapshot.read(seen, workers).choose()
    claimed = [lifecycle.claim(job_id, seen.runner) for job_id in chosen]
    leases = [lease for lease in claimed if lease is not None]
    if not leases:
        return Look([], WaitReason.SOMEBODY)
    return Look(leases, WaitReason.NOBODY if len(seen.queued) == 1 else WaitReason.UNKNOWN)


def _claim_alone(runner_name: str, workers: int, job_id: uuid.UUID) -> Lease | None:
    """Glance and claim on one way to the database and back; None unless the glance shows this job alone."""
    glancing = queue_snapshot.ask_glance(runner_name)
    with pipelined(), transaction.atomic():
        answers = together(*glancing, *lifecycle.ask_to_claim(job_id, Backend.PIPELINE))
        seen = queue_snapshot.glanced(answers[: len(glancing)])
        if seen is None or not queue_snapshot.takes(seen, workers, job_id):
            return None
        return lifecycle.claimed(job_id, seen.runner, answers[len(glancing) :])
