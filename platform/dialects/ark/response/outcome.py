"""Results of a job, one per image: an output, or the error of its slot."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from dialects.ark.errors import INTERNAL, INVALID, NO_RETRY, SENSITIVE, ArkError
from dialects.image_sizes import size_text
from jobs.images.signed_urls import output_url
from jobs.images.storage import read_output
from jobs.models import Job, Output, State

NSFW = "nsfw"
PIXELS_PER_TOKEN = 256  # the vendor counts an image as its area in 16 x 16 pixels


@dataclass(frozen=True)
class Slot:
    """One image of a request: the fields that have its content, or its error."""

    index: int
    content: dict[str, Any] | None = None
    error: ArkError | None = None
    area: int = 0
    file_format: str = ""

    @property
    def error_json(self) -> dict[str, str] | None:
        return {"code": self.error.code, "message": self.error.message} if self.error else None


def slots_of(job: Job, base_url: str) -> list[Slot]:
    """The slots of an ended job, in order."""
    return list(_slots(job, base_url))


def _slots(job: Job, base_url: str) -> Iterator[Slot]:
    failure = failure_of(job)
    outputs = {} if failure else {output.index: output for output in job.image_outputs}
    for index in range(job.generation_request.num_images):
        if index in outputs:
            yield _slot(job, outputs[index], base_url)
        else:
            yield Slot(index, error=failure or _missing())


def _slot(job: Job, output: Output, base_url: str) -> Slot:
    if output.nsfw and job.generation_request.nsfw.policy == "blank":
        return Slot(output.index, error=_sensitive())
    size = {"size": size_text(output.width, output.height)}
    file_format = output.content_type.removeprefix("image/")
    try:
        content = _content(job, output, base_url) | size
    except FileNotFoundError:
        return Slot(output.index, error=_missing())
    return Slot(output.index, content, area=output.width * output.height, file_format=file_format)


def _content(job: Job, output: Output, base_url: str) -> dict[str, str]:
    if job.received.get("response_format") == "b64_json":
        return {"b64_json": base64.b64encode(read_output(output)).decode()}
    return {"url": output_url(output, base_url)}


def failure_of(job: Job) -> ArkError | None:
    """The error of an ended job that has no images."""
    if job.state == State.SUCCEEDED:
        return None
    if job.error_code == NSFW:
        return _sensitive()
    if job.error_code == "bad_request":
        return ArkError(400, INVALID, job.error_message, headers=NO_RETRY)
    messages = {
        State.CANCELLED: _("The job was cancelled."),
        State.EXPIRED: _("The job did not finish in time."),
    }
    message = messages.get(State(job.state)) or job.error_message
    return ArkError(500, INTERNAL, message, headers=NO_RETRY)


def _sensitive() -> ArkError:
    return ArkError(400, SENSITIVE, _("The output image may contain sensitive information."))


def _missing() -> ArkError:
    message = _("This image was not generated, because the job was stopped, or it has been deleted.")
    return ArkError(500, INTERNAL, message, headers=NO_RETRY)


def usage_of(job: Job, slots: list[Slot]) -> dict[str, int]:
    tokens = sum(-(-slot.area // PIXELS_PER_TOKEN) for slot in slots)
    return {
        "generated_images": sum(slot.error is None for slot in slots),
        "input_images": len(job.generation_request.init_images or job.generation_request.images),
        "output_tokens": tokens,
        "total_tokens": tokens,
    }


def heading_of(job: Job) -> dict[str, Any]:
    """Fields that the answer and each event have."""
    ended = job.finished_at or job.created_at
    return {"model": job.received["model"], "created": int(ended.timestamp())}


def answer(job: Job, base_url: str) -> dict[str, Any]:
    """The answer of an ended job. Raises ArkError if none of its images can be returned."""
    slots = slots_of(job, base_url)
    errors = [slot.error for slot in slots if slot.error is not None]
    if len(errors) == len(slots):
        raise errors[0]
    return {**heading_of(job), "data": [_item(slot) for slot in slots], "usage": usage_of(job, slots)}


def _item(slot: Slot) -> dict[str, Any]:
    if slot.content is None:
        return {"error": slot.error_json}
    return slot.content | {"output_format": slot.file_format}
