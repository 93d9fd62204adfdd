"""The cluster of django-q2, such that any of its processes may be killed at any time.

* A killed worker, monitor or pusher is replaced, and blocks no other process (``task_queue``).
* When the sentinel is killed, its child processes end, workers after their current task. The parent process exits with
  an error, so that the process manager starts the cluster again.
* When the parent process is killed, the sentinel stops the cluster.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable
from multiprocessing import Value
from multiprocessing.process import BaseProcess
from time import sleep
from typing import Any

from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone
from django_q import cluster as django_q
from django_q.brokers import Broker, get_broker
from django_q.conf import Conf
from django_q.scheduler import scheduler
from django_q.status import Stat

from jobs.execution.outages import through_outage
from jobs.models import Runner
from telemetry.models import Mark

from .broker import GENERATION
from .task_queue import Flag, TaskQueue

log = logging.getLogger(__name__)

SCHEDULE_EVERY_S = 30.0
LOCK_S = 0.1  # for the lock of a worker's timer, which the worker holds while it stores a result
DATABASE_S = 30.0  # how long a new cluster waits for the database, before it exits with an error
STEP_S = 0.1  # interval of polls while the cluster stops
MONITOR_S = 30.0  # time for the monitor to store the last results
BACKGROUND_REPLACED = "background process replaced"  # a Mark
RECYCLED = -2  # value of the timer of a worker that ended as planned


class Cluster(django_q.Cluster):
    """The parent process. It starts the sentinel and forwards the signal to stop."""

    def start(self) -> int:
        self.stop_event, self.start_event = Flag(), Flag()
        self.sentinel = django_q.get_mp_context().Process(
            target=Sentinel,
            name=f"Process-{uuid.uuid4().hex}",
            args=(self.stop_event, self.start_event, self.cluster_id, self.broker, self.timeout),
        )
        self.sentinel.start()
        log.info("cluster %s starts", self.name)
        return int(self.pid)

    def wait(self) -> int:
        """Wait until the sentinel ends, and return its exit code."""
        self.sentinel.join()
        return int(self.sentinel.exitcode or 0)


class Sentinel(django_q.Sentinel):
    """Starts pusher, workers and monitor, and replaces those that die or exceed their time limit."""

    def __init__(
        self, stop: Flag, started: Flag, cluster_id: uuid.UUID, broker: Broker | None, timeout: int | None
    ) -> None:
        broker = broker or through_outage(get_broker, DATABASE_S)
        super().__init__(stop, started, cluster_id, broker, timeout, start=False)
        self.task_queue, self.result_queue = TaskQueue(), TaskQueue()
        self.event_out = Flag()
        self.start()

    def guard(self) -> None:
        self.start_event.set()
        log.info("cluster %s of queue %s runs", self.cluster_id, self.queue_name())
        until_schedule = SCHEDULE_EVERY_S
        while True:
            for worker in list(self.pool):
                self._check(worker)
            for process in (self.monitor, self.pusher):
                if not process.is_alive():
                    self.reincarnate(process)
            until_schedule -= Conf.GUARD_CYCLE
            if until_schedule <= 0 and Conf.SCHEDULER:
                until_schedule = SCHEDULE_EVERY_S
                scheduler(broker=self.broker)
            Stat(self).save()
            if self.stop_event.wait(Conf.GUARD_CYCLE):
                break
        self.stop()

    def reincarnate(self, process: Any) -> None:
        is_planned = process in self.pool and int(process.timer.value) == RECYCLED
        super().reincarnate(process)
        if is_planned:
            return
        try:
            _record_replacement()
        except DatabaseError:
            log.warning("the replaced process could not be recorded", exc_info=True)

    def stop(self) -> None:
        """Stop claiming, let the workers finish the tasks that were claimed, and end."""
        log.info("cluster %s stops", self.cluster_id)
        self.event_out.set()
        while self.pusher.is_alive() and _any_alive(self.pool):
            self._step()
        self.task_queue.close()
        while _any_alive(self.pool):
            self._step()
        self.pool.clear()
        self.result_queue.close()
        self.monitor.join(MONITOR_S)
        Stat(self).save()

    def _check(self, worker: Any) -> None:
        if not worker.is_alive():
            # The lock of the old timer may have been held by the worker when it died.
            worker.timer = Value("f", worker.timer.get_obj().value)
            self.reincarnate(worker)
        elif worker.timer.get_lock().acquire(timeout=LOCK_S):
            try:
                if worker.timer.value == 0:
                    self.reincarnate(worker)
                elif worker.timer.value > 0:  # seconds that are left for its task
                    worker.timer.value = max(0.0, worker.timer.value - Conf.GUARD_CYCLE)
            finally:
                worker.timer.get_lock().release()

    def _step(self) -> None:
        Stat(self).save()
        sleep(STEP_S)


def _record_replacement() -> None:
    now = timezone.now()
    if Conf.CLUSTER_NAME == GENERATION:
        Runner.objects.filter(name=settings.RUNNER_NAME).update(process_replaced_at=now)
    else:
        Mark.objects.update_or_create(name=BACKGROUND_REPLACED, defaults={"at": now})


def _any_alive(processes: Iterable[BaseProcess]) -> bool:
    return any(process.is_alive() for process in processes)
