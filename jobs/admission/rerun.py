"""Drawing a job again: a new job with the same request, whose cost is the same source's and who is told the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from jobs.models import Backend, Job, Lane, State
from jobs.models.callback import Callback
from jobs.outbound.callbacks.outbox import CallbackRequest

from .admit import admit
from .submission import Submission

RETRIED = frozenset({State.FAILED, State.CANCELLED, State.EXPIRED})

_new_ids: dict[str, Callable[[], str]] = {}


def register_ids(dialect: str, new_id: Callable[[], str]) -> None:
    """For a dialect whose every job has an id of the dialect's own."""
    _new_ids[dialect] = new_id


def retry(job: Job, note: str = "") -> Job:
    """For the client, who is called back if it wanted to be. Raises Refused."""
    kept: dict[str, Any] = (
        {"external_id": job.external_id, "id_may_repeat": True} if job.id_may_repeat else {}
    )
    return admit(replace(_submission(job, note), callback=_callback(job), **kept))


def rerun(job: Job, note: str = "") -> Job:
    """For us, to compare: the client hears nothing of it. Raises Refused."""
    return admit(_submission(job, note))


def _submission(job: Job, note: str) -> Submission:
    new_id = _new_ids.get(job.dialect)
    return Submission(
        source=job.source,
        key=job.key,
        dialect=job.dialect,
        operation=job.operation,
        request=job.generation_request,
        received=job.received,
        lane=max(Lane(job.lane), Lane.ASYNC),  # nobody waits on a connection any more
        external_id=new_id() if new_id else "",
        backend=Backend(job.backend),
        workflow=job.workflow,
        storage_target=job.storage_target,
        repeats=job,
        note=note,
    )


def _callback(job: Job) -> CallbackRequest | None:
    if not job.has_callback:
        return None
    asked: Callback = job.callback
    return CallbackRequest(asked.url, asked.extra, asked.headers, asked.base_url)
