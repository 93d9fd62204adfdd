"""Responses of the extras routes."""

from __future__ import annotations

import html
from typing import Any

from dialects.a1111.request.extras import BATCH
from dialects.a1111.schema import images
from jobs.images.infotext.build import postprocessing
from jobs.images.storage import read_output
from jobs.models import Job


def response_body(job: Job) -> dict[str, Any]:
    is_shown = job.received["parameters"]["show_extras_results"]
    encoded = [images.encode(read_output(output)) for output in job.outputs.all()] if is_shown else []
    body = {"html_info": f"<p>{html.escape(postprocessing(job.generation_request))}</p>"}
    if job.operation == BATCH:
        return body | {"images": encoded}
    return body | {"image": encoded[0] if encoded else ""}
