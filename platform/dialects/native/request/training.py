"""Request to train a LoRA: JSON, or a form with files."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import replace
from typing import Annotated, Literal

from django.conf import settings
from django.http import QueryDict
from django.utils.translation import gettext as _
from pydantic import BaseModel, ConfigDict, Field, model_validator
from rest_framework.request import Request

from access.models import AccessKey
from dialects.http import UnstorableText, check_text
from dialects.native.authentication import DIALECT
from dialects.native.errors import FieldError, Problem, too_large
from gpu_runner.protocol import MAX_SEED
from gpu_runner.protocol.request_parts.training import MAX_TRAINING_IMAGES, LearningRate
from gpu_runner.protocol.request_parts.values import Name, Prompt
from jobs.images.signed_urls import base_url
from jobs.outbound.callbacks.outbox import CallbackRequest
from jobs.outbound.policy import MAX_URL
from jobs.training import archive
from jobs.training.dataset import DatasetFile
from jobs.training.submission import (
    MAX_DESCRIPTION,
    MAX_KEEP_DAYS,
    MAX_RESOLUTION,
    MIN_RESOLUTION,
    TrainingRequest,
)

from .data_set import (
    ARCHIVE,
    IMAGES,
    TrainingImageBody,
    archived_images,
    reused_images,
    sent_images,
)
from .json_body import PlainText, is_json, read_json

FORM = "multipart/form-data"
# Fields of the request that are not among the settings of the trainer.
OWN = frozenset(
    [
        "name",
        "base",
        "images",
        "archive",
        "images_of",
        "captions",
        "tagger",
        "trigger",
        "sample_prompt",
        "description",
        "resolution",
        "epochs",
        "seed",
        "clip_skip",
        "keep_days",
        "external_id",
        "callback_url",
    ]
)


class TrainingBody(BaseModel):
    """A LoRA to train."""

    model_config = ConfigDict(extra="forbid")

    name: PlainText = Field(
        description="Name of the LoRA in requests: letters, digits, dots, dashes, plus signs and underscores."
    )
    base: PlainText = Field(default="", max_length=255, description="Checkpoint. Empty: the default one.")
    images: tuple[TrainingImageBody, ...] = Field(default=(), max_length=MAX_TRAINING_IMAGES)
    archive: PlainText | None = Field(
        default=None,
        description="A ZIP archive with images, and their captions in .txt files of the same name: a URL, a data URI or base64.",
    )
    images_of: uuid.UUID | None = Field(
        default=None,
        description="A training of this source, whose images with their captions are used, too, while they are stored.",
    )
    captions: Literal["given", "tags"] = Field(
        default="given", description="tags: images without a caption get their tags by a tagger."
    )
    tagger: PlainText = Field(
        default="", max_length=255, description="With captions=tags. Empty: the default tagger."
    )
    tag_threshold: float | None = Field(
        default=None, ge=0, le=1, description="Minimum score of a tag. Null: the tagger's."
    )
    trigger: Name = Field(default="", description="Words that call what is trained.")
    sample_prompt: Prompt = Field(default="", description="Of the sample images. Empty: the first caption.")
    description: PlainText = Field(default="", max_length=MAX_DESCRIPTION)
    resolution: Annotated[int, Field(ge=MIN_RESOLUTION, le=MAX_RESOLUTION)] | None = Field(
        default=None,
        description="Images are scaled to this number squared of pixels, and keep their aspect ratio. Null: that of the base.",
    )
    steps: int | None = Field(default=None, ge=1, description="Null: 500, or as epochs says.")
    epochs: int | None = Field(default=None, ge=1, le=10_000, description="In place of steps.")
    batch_size: int = Field(default=1, ge=1, le=16)
    rank: int = Field(default=16, ge=1, le=256)
    alpha: float = Field(default=16.0, gt=0, le=1024, allow_inf_nan=False)
    learning_rate: LearningRate = 1e-4
    text_encoder_learning_rate: LearningRate = Field(
        default=0.0, description="0: the text encoders are not trained."
    )
    schedule: Literal["constant", "cosine", "linear"] = "cosine"
    warmup_steps: int = Field(default=0, ge=0)
    min_snr_gamma: float = Field(default=5.0, ge=0, le=100, allow_inf_nan=False)
    class_prompt: Prompt = Field(
        default="",
        description="For this prompt, the model keeps what it draws without the LoRA. Doubles the price.",
    )
    prior_weight: float = Field(default=1.0, ge=0, le=10, allow_inf_nan=False)
    flip: bool = False
    gradient_checkpointing: bool = False
    samples: int = Field(default=4, ge=1, le=16, description="Images in the grid of samples.")
    sample_every: int = Field(
        default=0, ge=0, description="Steps between previews of the samples. 0: only at the end."
    )
    clip_skip: int = Field(default=1, ge=1, le=12, description="SDXL and later families ignore it.")
    keep_days: int | None = Field(
        default=None,
        ge=1,
        le=MAX_KEEP_DAYS,
        description="Days until the LoRA is deleted. Null: as the source has it, which also is the most.",
    )
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = None
    external_id: PlainText = Field(
        default="",
        max_length=200,
        description="A repeated request with the same id returns the same training.",
    )
    callback_url: PlainText | None = Field(default=None, max_length=MAX_URL)

    @model_validator(mode="after")
    def tagger_needs_tags(self) -> TrainingBody:
        if self.captions == "given" and (self.tagger or self.tag_threshold is not None):
            raise ValueError(_("tagger and tag_threshold are only allowed with captions=tags"))
        return self


class TrainingForm(TrainingBody):
    """A LoRA to train, as a form with files."""


def read_training(key: AccessKey, request: Request) -> TrainingRequest:
    """The training of a request. Raises Problem, Refused or pydantic's ValidationError."""
    if (request._request.content_type or "") == FORM:
        return _of_form(key, request)
    if not is_json(request):
        detail = _("Send application/json or multipart/form-data.")
        raise Problem(415, "unsupported_media_type", detail)
    body = TrainingBody.model_validate(read_json(request))
    files = [
        *reused_images(key, body.images_of),
        *sent_images(key, request, body.images),
        *archived_images(key, body.archive),
    ]
    return replace(_request(key, request, body), files=files)


def fingerprint(request: Request) -> bytes | None:
    """What identifies a form for its Idempotency-Key; None: the raw body.

    A form may be larger than a body that is read at once, and has another boundary when it is sent again. Raises Problem.
    """
    if (request._request.content_type or "") != FORM:
        return None
    sent = _form(request)
    fields = {name: sent.getlist(name) for name in sent if name not in request.FILES}
    digest = hashlib.sha256(request.get_full_path().encode())
    digest.update(json.dumps(fields, sort_keys=True).encode())
    for name in sorted(request.FILES):
        for file in request.FILES.getlist(name):
            described = json.dumps([name, file.name])
            digest.update(described.encode() + hashlib.file_digest(file, "sha256").digest())
            file.seek(0)
    return digest.digest()


def _form(request: Request) -> QueryDict:
    if int(request.META.get("CONTENT_LENGTH") or 0) > settings.TRAINING_UPLOAD_MAX_BYTES:
        raise too_large()
    sent = request.data
    assert isinstance(sent, QueryDict)
    return sent


def _of_form(key: AccessKey, request: Request) -> TrainingRequest:
    sent = _form(request)
    values = {name: sent[name] for name in sent if name not in request.FILES}
    try:
        check_text(values)
    except UnstorableText as error:
        raise Problem.unprocessable(
            [FieldError(loc=list(error.location), msg=error.message, type="nul")]
        ) from None
    for name in {IMAGES} & values.keys():
        message = _("Must be files; send JSON for URLs.")
        raise Problem.unprocessable([FieldError(loc=[name], msg=message, type="files")])
    if unknown := request.FILES.keys() - {IMAGES, ARCHIVE}:
        message = _("Files are sent as images or archive.")
        raise Problem.unprocessable([FieldError(loc=[min(unknown)], msg=message, type="extra_forbidden")])
    body = TrainingForm.model_validate(values)
    files = reused_images(key, body.images_of)
    files += [_named(file.name or IMAGES, file.read()) for file in request.FILES.getlist(IMAGES)]
    for file in request.FILES.getlist(ARCHIVE):
        files += archive.files_of(file.read())
    return replace(_request(key, request, body), files=[*files, *archived_images(key, body.archive)])


def _named(name: str, data: bytes) -> DatasetFile:
    return DatasetFile("".join(letter for letter in name if letter.isprintable())[:200], data)


def _request(key: AccessKey, request: Request, body: TrainingBody) -> TrainingRequest:
    sent = body.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    callback = (
        CallbackRequest(body.callback_url, base_url=base_url(request._request)) if body.callback_url else None
    )
    return TrainingRequest(
        source=key.source,
        key=key,
        dialect=DIALECT,
        files=(),
        name=body.name,
        base=body.base,
        trigger=body.trigger,
        sample_prompt=body.sample_prompt,
        description=body.description,
        resolution=body.resolution,
        epochs=body.epochs,
        seed=body.seed,
        clip_skip=body.clip_skip,
        keep_days=body.keep_days,
        tags_images=body.captions == "tags",
        tagger=body.tagger,
        settings={name: value for name, value in sent.items() if name not in OWN},
        received={name: value for name, value in sent.items() if name not in (IMAGES, ARCHIVE)},
        external_id=body.external_id,
        callback=callback,
    )
