"""Callback of a finished task: the response of the query that belongs to its operation."""

from __future__ import annotations

from typing import Any

from jobs.models.callback import Callback
from jobs.outbound.callbacks.policies import CallbackPolicy, by_code

from .errors import enveloped
from .response.task_status import result_of


def body(callback: Callback) -> dict[str, Any]:
    """Body of the callback."""
    return enveloped(result_of(callback.job, callback.base_url))


POLICY = CallbackPolicy(
    body=body, acknowledged=by_code("200"), waits_s=(3, 5, 15, 30, 60, 600, 3600), max_attempts=10
)
