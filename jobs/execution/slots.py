"""Concurrency limits: how many jobs a source or a key has in the queue and on the runners."""

from __future__ import annotations

from django.db.models import Q

from access.models import AccessKey, BusinessSource
from jobs.models import Backend, Job, State


def alike(backend: str) -> Q:
    """Jobs that share runners with those of this backend. Trainings have trainers of their own."""
    trainings = Q(backend=Backend.TRAINING)
    return trainings if backend == Backend.TRAINING else ~trainings


def has_room(source: BusinessSource, key: AccessKey | None, backend: str) -> bool:
    """Whether the source and the key may run one more job of a backend. The caller has locked the source's row.

    A training takes no slot of drawing: the limits apply to trainings and to other jobs apart from each other.
    """
    running = Job.objects.filter(alike(backend), source=source, state=State.RUNNING)
    if running.count() >= source.max_concurrent_jobs:
        return False
    if key is None or key.max_concurrent_jobs is None:
        return True
    return running.filter(key=key).count() < key.max_concurrent_jobs


def taken(source_id: int, state: State) -> int:
    return Job.objects.filter(source=source_id, state=state).count()


def taken_by_key(source_id: int, key_id: int, state: State) -> int:
    return Job.objects.filter(source=source_id, key=key_id, state=state).count()
