"""Calls that repeat the request of a job: in its own dialect, and in those that can express every job.

Calls contain no secrets, and name the job's input images by URLs of this platform, which expire.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from gpu_runner.protocol import GenerationRequest, InputImage
from jobs.images.signed_urls import input_url
from jobs.models import Job

from .examples.call import Call

HASH = re.compile(r"sha256:([0-9a-f]{64})")


class NotRepeatable(Exception):
    """The request cannot be sent again in its dialect. The message is shown to users."""


@dataclass(frozen=True)
class JobContext:
    """The job to repeat."""

    job: Job
    request: GenerationRequest
    base_url: str
    key_id: str = ""  # the command takes it from the environment: the caller may have several keys

    def image_url(self, image: InputImage) -> str:
        return input_url(image.sha256, self.base_url)


@dataclass(frozen=True)
class Repeated:
    """A call, or the reason why there is none."""

    dialect: str
    call: Call | None = None
    reason: str = ""


def with_images(value: Any, context: JobContext) -> Any:
    """Replace image hashes in a received body by URLs. Raises NotRepeatable if one was not stored."""
    if isinstance(value, dict):
        return {name: with_images(item, context) for name, item in value.items()}
    if isinstance(value, list):
        return [with_images(item, context) for item in value]
    found = HASH.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return value
    if found[1] not in context.request.input_hashes():
        raise NotRepeatable(_("one of its input images was not stored as received"))
    return input_url(found[1], context.base_url)
