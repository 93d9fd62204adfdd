"""The data set of a training: images of a JSON body, a ZIP archive, and images of an earlier training."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import replace

from django.conf import settings
from django.utils.translation import gettext as _
from pydantic import BaseModel, ConfigDict, Field
from rest_framework.request import Request

from access.models import AccessKey
from dialects.input_images import InputImages, decoded, is_url
from dialects.native.models import UploadedImage
from gpu_runner.protocol.request_parts.values import Prompt
from jobs.errors import BadURL, InvalidImage, Refused
from jobs.images import storage
from jobs.images.signed_urls import base_url
from jobs.models import Training
from jobs.outbound.http import fetch
from jobs.outbound.policy import Policy
from jobs.training import archive
from jobs.training.dataset import BadDataset, DatasetFile, FileProblem
from jobs.training.reuse import files_of
from jobs.training.selectors import training_get

from .json_body import PlainText

SHA256 = re.compile(r"[0-9a-f]{64}")
IMAGES, ARCHIVE = "images", "archive"


class TrainingImageBody(BaseModel):
    """An image of the data set."""

    model_config = ConfigDict(extra="forbid")

    image: PlainText = Field(description="A URL, a data URI, base64, or the SHA-256 of an uploaded image.")
    caption: Prompt = Field(
        default="", description="What the image shows. The trigger words need not be in it."
    )


def sent_images(
    key: AccessKey, request: Request, images: tuple[TrainingImageBody, ...]
) -> Iterator[DatasetFile]:
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


def reused_images(key: AccessKey, training_id: uuid.UUID | None) -> list[DatasetFile]:
    """Raises BadDataset for another source's training as for an unknown one, so that its existence is not revealed."""
    if training_id is None:
        return []
    try:
        return files_of(training_get(key.source, training_id))
    except Training.DoesNotExist:
        raise BadDataset([FileProblem("", _("The training was not found."))], "images_of") from None


def archived_images(key: AccessKey, text: str | None) -> list[DatasetFile]:
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
