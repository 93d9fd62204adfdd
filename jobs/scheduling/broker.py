"""The queue that generation workers take from is the Job table itself; every other list is the stock broker's."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.conf import settings
from django_q.brokers.orm import ORM
from django_q.conf import Conf

from jobs.django_q import package
from jobs.execution.lifecycle import Lease
from jobs.models import Job, State

from .dispatcher import Dispatcher

GENERATION = "generation"


class FairBroker(ORM):
    def dequeue(self) -> list[tuple[Any, str]] | None:
        if not self._is_ours:
            return super().dequeue()
        return [(str(lease.job_id), _package(lease)) for lease in self._dispatcher.take()]

    def enqueue(self, task: str) -> Any:
        if self._is_ours:
            raise ValueError("jobs are admitted, not enqueued: use jobs.admission")
        return super().enqueue(task)

    # The Job table keeps its own books: a claimed job ends by jobs.execution.lifecycle, or its lease does.

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
        """Made at the first dequeue: the cluster builds its broker before it forks the process that uses it."""
        return Dispatcher(settings.RUNNER_NAME, Conf.WORKERS)

    def _count(self, state: State) -> int:
        return Job.objects.filter(state=state).count()


def _package(lease: Lease) -> str:
    return package(lease.job_id, "jobs.tasks.run_job", str(lease.job_id), lease.attempt)
