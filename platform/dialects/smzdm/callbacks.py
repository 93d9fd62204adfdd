"""Callback of a finished job: the envelope, and the client's ``taskid``."""

from __future__ import annotations

from typing import Any

from jobs.models.callback import Callback
from jobs.outbound.callbacks.policies import CallbackPolicy, by_status

from .response import outcome


def body(callback: Callback) -> dict[str, Any]:
    """Body of the callback."""
    return {"taskid": callback.extra["taskid"], **outcome(callback.job, callback.base_url)}


POLICY = CallbackPolicy(body=body, acknowledged=by_status, waits_s=(5, 15, 30, 60, 600, 3600), max_attempts=8)
