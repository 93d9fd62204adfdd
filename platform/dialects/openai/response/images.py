"""Answers with images. They depend on the job only, so that they can be repeated."""

from __future__ import annotations

import base64
from typing import Any

from django.utils.translation import gettext as _

from dialects.image_sizes import size_text
from dialects.openai.errors import APIError
from dialects.openai.request.fields import DEFAULT_QUALITY, QUALITIES
from jobs.admission.prompts.language import prompt_warnings
from jobs.images.signed_urls import output_urls
from jobs.images.storage import read_output
from jobs.models import Job, Output, State

from .usage import usage

STATUSES = {State.QUEUED: "queued", State.RUNNING: "in_progress"}


def images_response(job: Job, base_url: str) -> dict[str, Any]:
    """The answer of a succeeded job. Raises APIError if its images were deleted."""
    request = job.generation_request
    if job.received["response_format"] == "url":
        images = [{"url": url} for url in output_urls(job, base_url)]
    else:
        images = [{"b64_json": encoded_file(output)} for output in job.image_outputs]
    return {
        "created": created(job),
        "data": [{**image, "revised_prompt": request.prompt} for image in images],
        **settings_of(job),
        **warnings_of(job),
        "usage": usage(request, len(images)),
    }


def settings_of(job: Job) -> dict[str, Any]:
    """How the images were made, in the vendor's words."""
    request, given = job.generation_request, job.received.get("quality", DEFAULT_QUALITY)
    settings = {
        "background": "transparent" if request.cut_out else "opaque",
        "output_format": request.output_format,
        "quality": QUALITIES.get(given, given),
        "size": size_text(request.width, request.height),
    }
    return settings | ({"safety_identifier": job.end_user} if job.end_user else {})


def warnings_of(job: Job) -> dict[str, Any]:
    """What was not done as requested; a field of ours, left out if there is nothing."""
    warnings = [*job.received.get("warnings", ()), *prompt_warnings(job)]
    return {"warnings": warnings} if warnings else {}


def created(job: Job) -> int:
    return int((job.finished_at or job.created_at).timestamp())


def encoded_file(output: Output) -> str:
    """The file of an output as base64. Raises APIError if it was deleted."""
    try:
        return base64.b64encode(read_output(output)).decode()
    except FileNotFoundError:
        message = _("The images of this job have been deleted.")
        raise APIError(404, "invalid_request_error", message, code="images_deleted") from None


def job_object(job: Job) -> dict[str, Any]:
    """An unfinished job, as ``async`` requests are answered."""
    return {
        "id": str(job.pk),
        "object": "image.generation.job",
        "status": STATUSES.get(State(job.state), str(job.state)),
        "created": int(job.created_at.timestamp()),
        **warnings_of(job),
    }
