"""Server-sent events of a request with ``stream``: partial images, then the finished ones or an error."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator
from typing import Any

from PIL import Image

from dialects.job_stream import JobStream, StreamSlot, sse_event
from dialects.openai.errors import APIError, api_error, failure
from dialects.openai.request.submission import EDITS
from jobs.errors import InvalidImage
from jobs.images.input_files import open_image
from jobs.models import Job, State

from .images import created, encoded_file, settings_of, warnings_of
from .still_running import still_running
from .usage import usage

PREFIXES = {EDITS: "image_edit"}  # image_generation for all others


class ImageStream(JobStream):
    """Events of one job. A preview counts as a partial image, up to the number that the request wants."""

    def __init__(self, job: Job, slot: StreamSlot) -> None:
        super().__init__(job, slot)
        self._prefix = PREFIXES.get(job.operation, "image_generation")
        self._wanted: int = job.received.get("partial_images", 0)
        self._sent = 0

    def on_preview(self, jpeg: bytes) -> Iterator[str]:
        if self._sent >= self._wanted:
            return
        try:
            image = _like_the_output(jpeg, self.job)
        except InvalidImage:
            return
        event = {
            "b64_json": image,
            **settings_of(self.job),
            "background": "opaque",  # removed from the finished image only
            "created_at": int(time.time()),
            "partial_image_index": self._sent,
        }
        self._sent += 1
        yield self._event("partial_image", event)

    def on_end(self) -> Iterator[str]:
        try:
            yield from self._completed()
        except Exception as error:
            yield _error_event(api_error(error, "image stream"))

    def _completed(self) -> Iterator[str]:
        job = self.job
        if not job.is_terminal:
            raise still_running(job)
        if job.state != State.SUCCEEDED:
            raise failure(job)
        request = job.generation_request
        for output in job.image_outputs:
            event = {
                "b64_json": encoded_file(output),
                "revised_prompt": request.prompt,
                **settings_of(job),
                **warnings_of(job),
                "created_at": created(job),
                "usage": usage(request, 1, with_input=output.index == 0),
            }
            yield self._event("completed", event)

    def _event(self, name: str, data: dict[str, Any]) -> str:
        event_type = f"{self._prefix}.{name}"
        return sse_event({"type": event_type, **data}, event_type)


def _error_event(error: APIError) -> str:
    return sse_event({"type": "error", "error": error.error}, "error")


def _like_the_output(jpeg: bytes, job: Job) -> str:
    """The preview in the size and format of the finished image, as base64. Raises InvalidImage."""
    request = job.generation_request
    preview = open_image(jpeg).convert("RGB")
    enlarged = preview.resize((request.width, request.height), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    enlarged.save(file, request.output_format)
    return base64.b64encode(file.getvalue()).decode()
