"""Callbacks of a finished job and of a loaded model: each as in the API."""

from __future__ import annotations

from typing import Any

from jobs.images.signed_urls import output_urls
from jobs.models.callback import Callback
from jobs.outbound.callbacks.policies import CallbackPolicy, by_status

from .response.model_intake import intake_view
from .response.schemas import job_detail


def body(callback: Callback) -> dict[str, Any]:
    """The job with absolute URLs; the signed URLs of its outputs need no key."""
    content = job_detail(callback.job).model_dump(mode="json")
    content["url"] = callback.base_url + content["url"]
    for output, url in zip(content["outputs"], output_urls(callback.job, callback.base_url), strict=True):
        output["url"] = url
    return content


def intake_body(callback: Callback) -> dict[str, Any]:
    """The intake with an absolute URL."""
    return intake_view(callback.subject, callback.base_url).model_dump(mode="json")


POLICY = CallbackPolicy(
    body=body,
    acknowledged=by_status,
    waits_s=(5, 30, 120, 600, 3600, 6 * 3600),
    max_attempts=8,
    intake_body=intake_body,
)
