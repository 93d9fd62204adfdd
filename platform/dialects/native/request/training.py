"""Request to train a LoRA: JSON, or a form with files."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Literal

from django.conf import settings
from django.http import QueryDict
from django.utils.translation import gettext as _
from pydantic import BaseModel, ConfigDict, Field
from rest_framework.request import Request

from access.models import AccessKey
from dialects.http import UnstorableText, check_text
from dialects.input_images import InputImages, decoded, is_url
from dialects.native.authentication import DIALECT
from dialects.native.errors import FieldError, Problem, too_large
from dialects.native.models import UploadedImage
from gpu_runner.protocol import MAX_SEED
from gpu_runner.protocol.request_parts.training import MAX_TRAINING_IMAGES, LearningRate
from gpu_runner.protocol.request_parts.values import Name, Prompt
from jobs.errors import BadURL, InvalidImage, Refused
from jobs.images import storage
from jobs.images.signed_urls import base_url
from jobs.outbound.callbacks.outbox import CallbackRequest
from jobs.outbound.http import fetch
from jobs.outbound.policy import MAX_URL, Policy
from jobs.training import archive
from jobs.training.dataset import BadDataset, DatasetFile, FileProblem
from jobs.training.submission import (
    MAX_DESCRIPTION,
    MAX_KEEP_DAYS,
    MAX_RESOLUTION,
    MIN_RESOLUTION,
    TrainingRequest,
)

from .json_body import PlainText, read_json

SHA256 = re.compile(r"[0-9a-f]{64}")
FORM = "multipart/form-data"
IMAGES, ARCHIVE = "images", "archive"
# Fields of the request that are not among the settings of the trainer.
OWN = frozenset(
    [
        "name",
        "base",
        "images",
        "archive",
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


class TrainingImageBody(BaseModel):
    """An image of the data set."""

    model_config = ConfigDict(extra="forbid")

    image: PlainText = Field(description="A URL, a data URI, base64, or the SHA-256 of an uploaded image.")
    caption: Prompt = Field(
        default="", description="What the image shows. The trigger words need not be in it."
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
    trigger: Name = Field(default="", description="Words that call what is trained.")
    sample_prompt: Prompt = Field(default="", description="Of the sample images. Empty: the trigger words.")
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


class TrainingForm(TrainingBody):
    """A LoRA to train, as a form with files."""


def read_training(key: AccessKey, request: Request) -> TrainingRequest:
    """The training of a request. Raises Problem, Refused or pydantic's ValidationError."""
    if (request._request.content_type or "") == FORM:
        return _of_form(key, request)
    body = TrainingBody.model_validate(read_json(request))
    files = [*_images(key, request, body.images), *_archive(key, body.archive)]
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
    files = [_named(file.name or IMAGES, file.read()) for file in request.FILES.getlist(IMAGES)]
    for file in request.FILES.getlist(ARCHIVE):
        files += archive.files_of(file.read())
    return replace(_request(key, request, body), files=[*files, *_archive(key, body.archive)])


def _named(name: str, data: bytes) -> DatasetFile:
    return DatasetFile("".join(letter for letter in name if letter.isprintable())[:200], data)


def _request(key: AccessKey, request: Request, body: TrainingBody) -> TrainingRequest:
    sent = body.model_dump(exclude_unset=True, exclude_none=True)
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
        settings={name: value for name, value in sent.items() if name not in OWN},
        received={name: value for name, value in sent.items() if name not in (IMAGES, ARCHIVE)},
        external_id=body.external_id,
        callback=callback,
    )


def _images(key: AccessKey, request: Request, images: tuple[TrainingImageBody, ...]) -> Iterator[DatasetFile]:
    """The images of a JSON body. Raises BadDataset with everything that cannot be read."""
    reader = InputImages(key.source, base_url(request._request))
    reader.fetch_at_most(len(images))
    files, problems = [], []
    for number, part in enumerate(images):
        name = f"images.{number}"
        try:
            files.append(DatasetFile(name, _content(key, reader, name, part.image), part.caption))
        except Refused as refused:
            problems.append(FileProblem(name, refused.message))
    if problems:
        raise BadDataset(problems)
    yield from files


def _content(key: AccessKey, reader: InputImages, field: str, text: str) -> bytes:
    if SHA256.fullmatch(text):
        if not UploadedImage.objects.filter(source=key.source, image_id=text).exists():
            raise InvalidImage(_("An input image was not found."), field=field)
        return storage.read_input(text)
    return reader.files[reader.take(field, text).sha256]


def _archive(key: AccessKey, text: str | None) -> list[DatasetFile]:
    if not text:
        return []
    try:
        if is_url(text):
            if not settings.INPUT_URLS:
                raise BadURL(_("Image URLs are disabled on this server."))
            policy = replace(Policy.of(key.source), max_bytes=settings.TRAINING_UPLOAD_MAX_BYTES)
            return archive.files_of(fetch(text, policy))
        return archive.files_of(decoded(ARCHIVE, text))
    except Refused as refused:
        refused.field = ARCHIVE
        raise
