"""Concurrency limits: how many jobs a source or a key has in the queue and on the runners."""

from __future__ import annotations

from access.models import AccessKey, BusinessSource
from jobs.models import Job, State


def lock_and_check_room(source_id: int, key_id: int | None) -> bool:
    """Whether the source and the key may run one more job.

    The source's row stays locked until the transaction ends, so that two claims cannot both take the last slot.
    """
    limit = (
        BusinessSource.objects.select_for_update(no_key=True)
        .values_list("max_concurrent_jobs", flat=True)
        .get(pk=source_id)
    )
    if taken(source_id, State.RUNNING) >= limit:
        return False
    key = AccessKey.objects.only("max_concurrent_jobs").filter(pk=key_id).first() if key_id else None
    if key is None or key.max_concurrent_jobs is None:
        return True
    return taken_by_key(source_id, key.pk, State.RUNNING) < key.max_concurrent_jobs


def full_keys() -> set[int]:
    """The keys that run as many jobs as they may."""
    limited = AccessKey.objects.filter(max_concurrent_jobs__isnull=False).order_by()
    return {
        key_id
        for source_id, key_id, limit in limited.values_list("source_id", "pk", "max_concurrent_jobs")
        if limit is not None and taken_by_key(source_id, key_id, State.RUNNING) >= limit
    }


def taken(source_id: int, state: State) -> int:
    return Job.objects.filter(source=source_id, state=state).count()


def taken_by_key(source_id: int, key_id: int, state: State) -> int:
    return Job.objects.filter(source=source_id, key=key_id, state=state).count()
