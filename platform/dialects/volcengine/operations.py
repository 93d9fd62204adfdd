"""What the actions do: draw and wait, submit, ask for a result, cancel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from access.models import AccessKey
from jobs.admission.admit import admit, find_replay
from jobs.execution import lifecycle
from jobs.execution.completion_waiter import wait_for
from jobs.models import Job, Lane

from .authentication import DIALECT
from .envelope import Envelope
from .errors import GatewayError
from .request.json_body import Body
from .request.submission import read_submission
from .response import task_status
from .response.image_data import failure_of, picture_data

JOB_HEADER = "X-Job-Id"
CANCELLED = "cancelled by its client"


@dataclass(frozen=True)
class OperationContext:
    http: HttpRequest
    key: AccessKey
    body: Body
    envelope: Envelope


@dataclass(frozen=True)
class Operation:
    run: Callable[[OperationContext], Any]
    req_key: str = ""  # where the body has none
    by_get: bool = False


def process(call: OperationContext) -> Any:
    """Draws and waits. The job lives on where the client has no patience: its id is in the headers."""
    job = _admitted(call, Lane.INTERACTIVE)
    ended = wait_for(job.pk, settings.JOB_WAIT_S)
    headers = {JOB_HEADER: str(job.pk)}
    if not ended.is_terminal:
        raise GatewayError("InternalServiceTimeout", headers=headers)
    if failure := failure_of(ended):
        raise failure
    data = picture_data(ended, call.http, list(ended.pictures), as_url=call.body.flag("return_url"))
    return call.envelope.success(data, headers)


def submit(call: OperationContext) -> Any:
    job = _admitted(call, Lane.ASYNC, task_status.new_id())
    return call.envelope.success({"task_id": job.external_id}, {JOB_HEADER: str(job.pk)})


def result(call: OperationContext) -> Any:
    task = task_status.find(call.key, call.body)
    return call.envelope.success(task_status.data(task, call.body, call.http))


def cancel(call: OperationContext) -> Any:
    """What has ended stays as it is, and what is not there cannot be cancelled: neither is an error."""
    task = task_status.find(call.key, call.body)
    if task is not None:
        lifecycle.cancel(task.pk, note=CANCELLED)
    return call.envelope.success(None)


def _admitted(call: OperationContext, lane: Lane, external_id: str = "") -> Job:
    """``return_url`` is read before anything is drawn for it."""
    call.body.flag("return_url")
    replay = find_replay(call.key.source, DIALECT, call.http)
    if replay.job is not None:
        return replay.job
    submission = read_submission(
        call.key, call.envelope.action, call.body, lane=lane, external_id=external_id
    )
    return admit(replace(submission, idempotency=replay.idempotency))
