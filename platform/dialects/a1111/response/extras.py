"""Answers of the extras routes."""

from __future__ import annotations

import html
from typing import Any

from dialects.a1111.request.extras import BATCH
from dialects.a1111.schema import images as pictures
from jobs.images.infotext.build import postprocessing
from jobs.images.storage import read_output
from jobs.models import Job


def answer(job: Job) -> dict[str, Any]:
    shown = job.received["parameters"]["show_extras_results"]
    images = [pictures.encode(read_output(output)) for output in job.outputs.all()] if shown else []
    told = {"html_info": f"<p>{html.escape(postprocessing(job.generation_request))}</p>"}
    if job.operation == BATCH:
        return told | {"images": images}
    return told | {"image": images[0] if images else ""}
