"""What a client's webhook is told when its job has ended."""

from __future__ import annotations

from typing import Any

from jobs.models import State
from jobs.models.callback import Callback
from jobs.outbound.callbacks.policies import CallbackPolicy, by_status

from .numeric_ids import number_of
from .response.job import answer


def body(callback: Callback) -> dict[str, Any]:
    job = callback.job
    told = answer(job, callback.base_url) | {"track_id": callback.extra["track_id"]}
    return told if job.state == State.SUCCEEDED else told | {"id": number_of(job)}


POLICY = CallbackPolicy(body=body, acknowledged=by_status, waits_s=(10, 60), max_attempts=3, timeout_s=30.0)
