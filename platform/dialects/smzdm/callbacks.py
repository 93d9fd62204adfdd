"""What is POSTed to ``callback_url`` when the job has ended: the envelope, and the caller's own number."""

from __future__ import annotations

from typing import Any

from jobs.models.callback import Callback
from jobs.outbound.callbacks.policies import CallbackPolicy, by_status

from .response import outcome


def body(callback: Callback) -> dict[str, Any]:
    return {"taskid": callback.extra["taskid"], **outcome(callback.job, callback.base_url)}


POLICY = CallbackPolicy(body=body, acknowledged=by_status, waits_s=(5, 15, 30, 60, 600, 3600), max_attempts=8)
