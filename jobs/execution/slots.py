"""Concurrency limits: how many jobs a source or a key has in the queue and on the runners."""

from __future__ import annotations

from access.models import AccessKey, BusinessSource
from jobs.models import Job, State


def has_room(source: BusinessSource, key: AccessKey | None) -> bool:
    """Whether the source and the key may run one more job. The caller has locked the source's row."""
    if taken(source.pk, State.RUNNING) >= source.max_concurrent_jobs:
        return False
    if key is None or key.max_concurrent_jobs is None:
        return True
    return taken_by_key(source.pk, key.pk, State.RUNNING) < key.max_concurrent_jobs


def taken(source_id: int, state: State) -> int:
    return Job.objects.filter(source=source_id, state=state).count()


def taken_by_key(source_id: int, key_id: int, state: State) -> int:
    return Job.objects.filter(source=source_id, key=key_id, state=state).count()
