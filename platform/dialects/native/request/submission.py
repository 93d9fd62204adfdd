"""From the wire to a submission: the canonical request, and how it is to be treated."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from django.utils.translation import gettext as _
from pydantic import Field
from rest_framework.request import Request

from access.models import AccessKey, BusinessSource
from dialects.native.authentication import DIALECT
from dialects.native.models import Upload
from gpu_runner.protocol import MAX_SEED, GenerationRequest
from jobs.admission.submission import Submission, random_seed
from jobs.errors import InvalidImage
from jobs.images import signed_urls
from jobs.models import Lane
from jobs.outbound.callbacks.outbox import CallbackRequest

from .inline_images import InlinePictures
from .json_body import read_json

LaneName = Literal["interactive", "async", "bulk"]
LANES: dict[LaneName, Lane] = {
    "interactive": Lane.INTERACTIVE,
    "async": Lane.ASYNC,
    "bulk": Lane.BULK,
}
OWN_FIELDS = {"lane", "external_id", "callback_url"}
PICTURE_SCHEMA = {
    "description": ("An input picture: the SHA-256 of one that was uploaded, or a data URI with base64."),
    "anyOf": [
        {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        {"type": "string", "pattern": "^data:image/"},
        {
            "type": "object",
            "properties": {"sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"}},
            "required": ["sha256"],
            "additionalProperties": False,
        },
    ],
}


class JobRequest(GenerationRequest):
    """What to draw, and how the job is to be treated."""

    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = Field(
        default_factory=random_seed, description="Of the first picture. Absent: a random one."
    )
    lane: LaneName = Field(
        default="async", description="interactive: someone waits for it; bulk: nobody does."
    )
    external_id: str = Field(
        default="",
        max_length=200,
        description="Your own id. The same id again gives the same job.",
    )
    callback_url: str | None = Field(
        default=None, max_length=2000, description="Where the job is POSTed to when it has ended."
    )

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        schema = super().model_json_schema(*args, **kwargs)
        schema["$defs"]["Picture"] = PICTURE_SCHEMA
        return schema

    def generation_request(self) -> GenerationRequest:
        return GenerationRequest.model_construct(
            **{name: getattr(self, name) for name in GenerationRequest.model_fields}
        )


def read_submission(key: AccessKey, request: Request) -> Submission:
    inline = InlinePictures()
    body = inline.take_from(read_json(request))
    wanted = JobRequest.model_validate(body)
    return Submission(
        source=key.source,
        key=key,
        dialect=DIALECT,
        operation=wanted.task,
        request=wanted.generation_request(),
        received=wanted.model_dump(mode="json", exclude_unset=True),
        pictures=inline.files,
        lane=LANES[wanted.lane],
        external_id=wanted.external_id,
        callback=_callback(wanted.callback_url, request),
    )


def _callback(url: str | None, request: Request) -> CallbackRequest | None:
    return CallbackRequest(url, base_url=signed_urls.base_url(request._request)) if url else None


def foreign_pictures(source: BusinessSource, submission: Submission) -> list[InvalidImage]:
    """Whoever learns another's hash must not get to see the picture by drawing over it."""
    named = submission.request.pictures() - submission.pictures.keys()
    if not named:
        return []
    own = Upload.objects.filter(source=source, picture__in=named).values_list("picture_id", flat=True)
    missing = named - set(own)
    return [InvalidImage(_("An input picture is missing."), field="init_images")] if missing else []
