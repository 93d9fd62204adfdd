"""What a client is told when its task has ended: what it would be told if it asked."""

from __future__ import annotations

from typing import Any

from jobs.models.callback import Callback
from jobs.outbound.callbacks.policies import CallbackPolicy, by_code

from .errors import enveloped
from .response.task_status import told


def body(callback: Callback) -> dict[str, Any]:
    return enveloped(told(callback.job, callback.base_url))


POLICY = CallbackPolicy(
    body=body, acknowledged=by_code("200"), waits_s=(3, 5, 15, 30, 60, 600, 3600), max_attempts=10
)
