"""django-q2 broker that dequeues generation jobs from the Job table by the scheduling policy.

All other queues use the ORM broker of django-q2.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from django.conf import settings
from django_q.brokers.orm import ORM
from django_q.conf import Conf

from jobs.django_q import package
from jobs.execution.lifecycle import Lease
from jobs.models import Backend, Job, State

from .dispatcher import Dispatcher

GENERATION = "generation"
TIMEOUT_MARGIN_S = 60  # the worker itself ends a job that takes too long


class FairBroker(ORM):
    """Broker of the generation cluster; for other clusters it behaves like ORM."""

    def dequeue(self) -> list[tuple[Any, str]] | None:
        if not self._is_ours:
            return super().dequeue()
        leases = self._dispatcher.take()
        trainings = _trainings(leases)
        return [(str(lease.job_id), _package(lease, lease.job_id in trainings)) for lease in leases]

    def enqueue(self, task: str) -> Any:
        if self._is_ours:
            raise ValueError("jobs are admitted, not enqueued: use jobs.admission")
        return super().enqueue(task)

    # No acknowledgement is needed: jobs.execution.lifecycle ends a claimed job, or its lease expires.

    def acknowledge(self, task_id: Any) -> Any:
        return None if self._is_ours else super().acknowledge(task_id)

    def fail(self, task_id: Any) -> Any:
        return None if self._is_ours else super().fail(task_id)

    def delete(self, task_id: Any) -> Any:
        return None if self._is_ours else super().delete(task_id)

    def purge_queue(self) -> Any:
        return None if self._is_ours else super().purge_queue()

    def queue_size(self) -> int:
        return self._count(State.QUEUED) if self._is_ours else super().queue_size()

    def lock_size(self) -> int:
        return self._count(State.RUNNING) if self._is_ours else super().lock_size()

    def info(self) -> str:
        return "jobs by policy" if self._is_ours else super().info()

    @property
    def _is_ours(self) -> bool:
        return self.list_key == GENERATION

    @cached_property
    def _dispatcher(self) -> Dispatcher:
        """Created at the first dequeue, because the cluster creates its broker before it forks."""
        return Dispatcher(settings.RUNNER_NAME, Conf.WORKERS)

    def _count(self, state: State) -> int:
        return Job.objects.filter(state=state).count()


def _trainings(leases: Sequence[Lease]) -> set[uuid.UUID]:
    """Jobs among the claimed ones that are trainings, which may take longer than other tasks of the cluster."""
    if not leases:
        return set()
    claimed = Job.objects.filter(pk__in=[lease.job_id for lease in leases], backend=Backend.TRAINING)
    return set(claimed.values_list("pk", flat=True))


def _package(lease: Lease, is_training: bool) -> str:
    timeout_s = settings.TRAINING_TIMEOUT_S + TIMEOUT_MARGIN_S if is_training else None
    return package(lease.job_id, "jobs.tasks.run_job", str(lease.job_id), lease.attempt, timeout_s=timeout_s)
