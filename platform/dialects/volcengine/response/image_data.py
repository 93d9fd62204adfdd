"""``data`` of a finished job: its images as base64 or URLs."""

from __future__ import annotations

import base64
from typing import Any

from django.http import HttpRequest

from dialects.volcengine.errors import ServiceError
from jobs.images.signed_urls import base_url, output_url
from jobs.images.storage import read_output
from jobs.models import Job, Output, State

NSFW = "nsfw"
FAILED = {
    "bad_request": 50200
}  # error code of a job -> code of the service; every other one is an internal error


def image_data(job: Job, request: HttpRequest, outputs: list[Output], *, as_url: bool) -> dict[str, Any]:
    """``data`` of a succeeded job: URLs or base64 of its outputs, never both."""
    base = base_url(request)
    return {
        "algorithm_base_resp": {"status_code": 0, "status_message": "Success"},
        "binary_data_base64": [] if as_url else [_inline(output) for output in outputs],
        "image_urls": [output_url(output, base) for output in outputs] if as_url else None,
        "resp_data": "",
    } | ({"aigc_meta_tagged": True} if job.request.get("marks") else {})


def failure_of(job: Job) -> ServiceError | None:
    """The error of a job without outputs; None if it has one."""
    if job.state == State.SUCCEEDED and job.images_done:
        return None
    if job.error_code == NSFW:
        return ServiceError(50511)
    code = 50501 if job.state == State.EXPIRED else FAILED.get(job.error_code, 50500)
    return ServiceError(code, job.error_message or str(job.state))


def _inline(output: Output) -> str:
    return base64.b64encode(read_output(output)).decode()
