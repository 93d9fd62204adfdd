"""Retry and rerun of a job: a new job with the same request, billed to the same source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from access.source_settings.prompt_modes import PromptMode
from jobs.models import Backend, Job, Lane, State, Training
from jobs.models.callback import Callback
from jobs.outbound.callbacks.outbox import CallbackRequest

from . import reproduce
from .admit import admit
from .submission import Submission

RETRIED = frozenset({State.FAILED, State.CANCELLED, State.EXPIRED})

_new_ids: dict[str, Callable[[], str]] = {}


def register_ids(dialect: str, new_id: Callable[[], str]) -> None:
    """Register the ID generator of a dialect in which every job has its own external ID."""
    _new_ids[dialect] = new_id


def retry(job: Job, note: str = "") -> Job:
    """Repeat a job for the client; its callback is sent again. Raises Refused."""
    kept: dict[str, Any] = (
        {"external_id": job.external_id, "id_may_repeat": True} if job.id_may_repeat else {}
    )
    return admit(replace(_submission(job, note), callback=_callback(job), **kept))


def rerun(job: Job, note: str = "") -> Job:
    """Repeat a job for operators to compare results; no callback is sent. Raises Refused."""
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
        lane=max(Lane(job.lane), Lane.ASYNC),  # no client connection is open for it
        external_id=new_id() if new_id else "",
        end_user=job.end_user,
        backend=Backend(job.backend),
        workflow=job.workflow,
        storage_target=job.storage_target,
        repeats=job,
        prompt_mode=PromptMode.AS_IS,  # the request has the prompts that were drawn
        rewriting=job.rewriting,
        training=_training(job),
        note=note,
        **reproduce.again(job),
    )


def _training(job: Job) -> Training | None:
    if job.backend != Backend.TRAINING:
        return None
    training = job.training
    return Training(name=training.name, description=training.description, keep_days=training.keep_days)


def _callback(job: Job) -> CallbackRequest | None:
    if not job.has_callback:
        return None
    asked: Callback = job.callback
    return CallbackRequest(asked.url, asked.extra, asked.headers, asked.base_url)
