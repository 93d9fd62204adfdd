"""Convert the body of a job request to a Submission."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from django.utils.translation import gettext as _
from pydantic import Field
from rest_framework.request import Request

from access.models import AccessKey, BusinessSource
from access.source_settings.prompt_modes import PromptMode
from dialects.native.authentication import DIALECT
from dialects.native.models import UploadedImage
from gpu_runner.protocol import MAX_SEED, GenerationRequest, InputImage
from jobs.admission.model_choice.defaults import NONE as NO_DEFAULTS
from jobs.admission.model_choice.defaults import ModelDefaults, defaults_of
from jobs.admission.model_choice.lora_tags import with_tagged_loras
from jobs.admission.submission import Submission, random_seed
from jobs.errors import InvalidImage
from jobs.images import signed_urls
from jobs.images.input_usage import sent_by
from jobs.models import Lane
from jobs.outbound.callbacks.outbox import CallbackRequest

from .inline_images import InlineImages
from .json_body import read_json

LaneName = Literal["interactive", "async", "bulk"]
PromptModeName = Literal["as_is", "translate", "expand"]
LANES: dict[LaneName, Lane] = {
    "interactive": Lane.INTERACTIVE,
    "async": Lane.ASYNC,
    "bulk": Lane.BULK,
}

SIZE = {"width", "height"}
INPUT_IMAGE_SCHEMA = {
    "description": "An input image: the SHA-256 of an image that was uploaded or sent with a job, or a data URI with base64.",
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
    """A GenerationRequest, with the fields of the job itself."""

    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = Field(
        default_factory=random_seed,
        description="Seed of the first image; the next ones have seed + 1, and so on. 64 bits: JSON parsers that read numbers as"
        " floats (JavaScript) are exact up to 9007199254740991 only. Absent: random, of 32 bits.",
    )
    lane: LaneName = Field(default="async", description="Priority class: interactive, async or bulk.")
    external_id: str = Field(
        default="",
        max_length=200,
        description="Your id of the job. A repeated request with the same id returns the same job.",
    )
    callback_url: str | None = Field(
        default=None, max_length=2000, description="URL to which the finished job is POSTed."
    )

    prompt_mode: PromptModeName | None = Field(
        default=None,
        description="What the platform's text model does with the prompts: nothing, translate them to English, or"
        " translate them and expand the prompt with details. Null: the setting of the source.",
    )

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        schema = super().model_json_schema(*args, **kwargs)
        schema["$defs"][InputImage.__name__] = INPUT_IMAGE_SCHEMA
        return schema

    def generation_request(self, defaults: ModelDefaults) -> GenerationRequest:
        """The GenerationRequest alone, with the checkpoint's defaults for the fields that the client did not send."""
        fields = {name: getattr(self, name) for name in GenerationRequest.model_fields}
        if self.denoises:
            named = set(self.model_fields_set)
            if self.tiled or self.hires or self.change_background:
                named |= SIZE  # another size of the request depends on it
            fields |= defaults.fields(named) | {"prompt": defaults.prefixed(self.prompt)}
        return GenerationRequest.model_construct(**fields)


def read_submission(key: AccessKey, request: Request) -> Submission:
    """The submission of a request. Raises Problem, Refused or pydantic's ValidationError."""
    return submission_of(key, read_json(request), signed_urls.base_url(request._request))


def submission_of(key: AccessKey, body: dict[str, Any], base_url: str) -> Submission:
    """The submission of a body. Raises Problem, Refused or pydantic's ValidationError."""
    inline = InlineImages()
    job = JobRequest.model_validate(inline.extract(body))
    defaults = defaults_of(job.checkpoint, key.source, key, dialect=DIALECT) if job.denoises else NO_DEFAULTS
    return Submission(
        source=key.source,
        key=key,
        dialect=DIALECT,
        operation=job.task,
        request=with_tagged_loras(job.generation_request(defaults), key.source, dialect=DIALECT),
        received=job.model_dump(mode="json", exclude_unset=True),
        input_files=inline.files,
        lane=LANES[job.lane],
        external_id=job.external_id,
        callback=CallbackRequest(job.callback_url, base_url=base_url) if job.callback_url else None,
        prompt_mode=PromptMode(job.prompt_mode) if job.prompt_mode else None,
    )


def refused_references(source: BusinessSource, submission: Submission) -> list[InvalidImage]:
    """A refusal if the request references images that this source has neither uploaded nor sent with a job.

    Knowing the hash of another source's image must not give access to it.
    """
    paths = submission.request.picture_paths()
    referenced = paths.keys() - submission.input_files.keys()
    if not referenced:
        return []
    uploads = UploadedImage.objects.filter(source=source, image__in=referenced)
    missing = referenced - set(uploads.values_list("image_id", flat=True))
    if missing:
        missing -= sent_by(source, missing)
    message = _("An input image was not found.")
    return [InvalidImage(message, field=path) for sha256, path in paths.items() if sha256 in missing]
