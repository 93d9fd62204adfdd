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
    if key_id is None:
        return True
    limits = AccessKey.objects.filter(pk=key_id).order_by().values_list("max_concurrent_jobs", flat=True)
    key_limit = limits.first()
    return key_limit is None or taken_by_key(source_id, key_id, State.RUNNING) < key_limit


def taken(source_id: int, state: State) -> int:
    return Job.objects.filter(source=source_id, state=state).count()


def taken_by_key(source_id: int, key_id: int, state: State) -> int:
    return Job.objects.filter(source=source_id, key=key_id, state=state).count()
