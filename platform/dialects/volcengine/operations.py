"""Operations of the API: generate and wait, submit a task, get its result, cancel it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from access.models import AccessKey
from dialects.waiting import RETRY_AFTER_S, wait_for_end
from dialects.warning_header import warning_headers
from jobs.admission.admit import admit, find_replay
from jobs.admission.prompts.language import prompt_warnings
from jobs.execution import lifecycle
from jobs.execution.thread_shares import NoFreeThread
from jobs.images.signed_urls import base_url
from jobs.models import Job, Lane

from .authentication import DIALECT
from .envelope import Envelope
from .errors import GatewayError
from .request.json_body import Body
from .request.submission import read_submission
from .request.watermarks import logo_warning
from .response import task_status
from .response.image_data import failure_of, image_data

JOB_HEADER = "X-Job-Id"
CANCEL_NOTE = "cancelled by its client"


@dataclass(frozen=True)
class OperationContext:
    """An authenticated request, its parsed body, and the envelope of its response."""

    http: HttpRequest
    key: AccessKey
    body: Body
    envelope: Envelope


@dataclass(frozen=True)
class Operation:
    """An entry of the table of actions."""

    run: Callable[[OperationContext], Any]
    req_key: str = ""  # used if the body has none
    allows_get: bool = False  # whether GET is allowed


def process(context: OperationContext) -> Any:
    """Submit a job and wait for its end.

    After JOB_WAIT_S seconds raises GatewayError InternalServiceTimeout; the job continues, and its id is in the
    header ``X-Job-Id``. ServiceUnavailableTemp in the same way if too many requests of the source wait already.
    """
    job = _admitted(context, Lane.INTERACTIVE)
    headers = _headers(context, job)
    try:
        ended = wait_for_end(context.http, job, settings.JOB_WAIT_S)
    except NoFreeThread:
        headers["Retry-After"] = str(RETRY_AFTER_S)
        raise GatewayError("ServiceUnavailableTemp", headers=headers) from None
    if not ended.is_terminal:
        raise GatewayError("InternalServiceTimeout", headers=headers)
    if failure := failure_of(ended):
        raise failure
    data = image_data(ended, context.http, list(ended.image_outputs), as_url=context.body.flag("return_url"))
    return context.envelope.success(data, headers)


def submit(context: OperationContext) -> Any:
    """Submit an asynchronous task."""
    job = _admitted(context, Lane.ASYNC, task_status.new_id())
    return context.envelope.success({"task_id": job.external_id}, _headers(context, job))


def result(context: OperationContext) -> Any:
    """Status and result of a task."""
    task = task_status.find(context.key, context.body)
    warning = task_status.label_warning(task, context.body)
    return context.envelope.success(
        task_status.data(task, context.body, context.http), warning_headers(warning)
    )


def cancel(context: OperationContext) -> Any:
    """Cancel a task. Success also if it has ended or does not exist."""
    task = task_status.find(context.key, context.body)
    if task is not None:
        lifecycle.cancel(task.pk, note=CANCEL_NOTE)
    return context.envelope.success(None)


def _headers(context: OperationContext, job: Job) -> dict[str, str]:
    """The job's id, and warnings: if the request asked for no label, but the image has one; about the prompts."""
    label = logo_warning(context.body, context.key.source, job.generation_request)
    return {
        JOB_HEADER: str(job.pk),
        **warning_headers(" ".join(filter(None, [label, *prompt_warnings(job)]))),
    }


def _admitted(context: OperationContext, lane: Lane, external_id: str = "") -> Job:
    """Admit the job. ``return_url`` is validated first, so that an invalid one costs no job."""
    context.body.flag("return_url")
    replay = find_replay(context.key.source, DIALECT, context.http)
    if replay.job is not None:
        return replay.job
    submission = read_submission(
        context.key,
        context.envelope.action,
        context.body,
        lane=lane,
        external_id=external_id,
        base_url=base_url(context.http),
    )
    return admit(replace(submission, idempotency=replay.idempotency))
