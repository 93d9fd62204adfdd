"""Callback of a finished task: the response of the query that belongs to its operation."""

from __future__ import annotations

from typing import Any

from jobs.models import Backend
from jobs.models.callback import Callback
from jobs.outbound.callbacks.policies import CallbackPolicy, by_code

from .errors import enveloped
from .response.task_status import result_of
from .training.result import training_result


def body(callback: Callback) -> dict[str, Any]:
    """Body of the callback."""
    job = callback.job
    if job.backend == Backend.TRAINING:
        return enveloped(training_result(job.training, callback.base_url))
    return enveloped(result_of(job, callback.base_url))


POLICY = CallbackPolicy(
    body=body, acknowledged=by_code("200"), waits_s=(3, 5, 15, 30, 60, 600, 3600), max_attempts=10
)
