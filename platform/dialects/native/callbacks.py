"""What a client is told when its job has ended: the job, as it would be told if it asked."""

from __future__ import annotations

from typing import Any

from jobs.images.signed_urls import output_urls
from jobs.models.callback import Callback
from jobs.outbound.callbacks.policies import CallbackPolicy, by_status

from .response.schemas import job_detail


def body(callback: Callback) -> dict[str, Any]:
    """With absolute URLs; those of the pictures need no key."""
    told = job_detail(callback.job).model_dump(mode="json")
    told["url"] = callback.base_url + told["url"]
    for output, url in zip(told["outputs"], output_urls(callback.job, callback.base_url), strict=True):
        output["url"] = url
    return told


POLICY = CallbackPolicy(
    body=body, acknowledged=by_status, waits_s=(5, 30, 120, 600, 3600, 6 * 3600), max_attempts=8
)
