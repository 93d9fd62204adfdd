"""Webhook of a finished job."""

from __future__ import annotations

from typing import Any

from jobs.models import State
from jobs.models.callback import Callback
from jobs.outbound.callbacks.policies import CallbackPolicy, by_status

from .numeric_ids import number_of
from .response.job import job_response


def body(callback: Callback) -> dict[str, Any]:
    """Body of the webhook: the response of the job, with its id and the client's track_id."""
    job = callback.job
    content = job_response(job, callback.base_url) | {"track_id": callback.extra["track_id"]}
    return content if job.state == State.SUCCEEDED else content | {"id": number_of(job)}


POLICY = CallbackPolicy(body=body, acknowledged=by_status, waits_s=(10, 60), max_attempts=3, timeout_s=30.0)
