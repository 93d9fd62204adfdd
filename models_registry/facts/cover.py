"""Cover images of model files: the thumbnail in a file's metadata, or an image that an operator uploaded."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re
from collections.abc import Mapping

from django.db import models
from django.utils.translation import gettext_lazy as _
from PIL import Image

from gpu_runner.protocol.images import files as image_files

SIDE = 512  # covers are scaled down to it
QUALITY = 85
THUMBNAIL = "modelspec.thumbnail"
DATA_URI = re.compile(r"data:image/[a-z+.-]+;base64,", re.IGNORECASE)
MAX_THUMBNAIL_PIXELS = 4096 * 4096


class ModelCover(models.Model):
    """Cover of one model file, as JPEG. It is a few dozen kilobytes, so that it is stored in the database."""

    class Origin(models.TextChoices):
        FILE = "file", _("metadata of the file")
        UPLOAD = "upload", _("uploaded")

    file = models.OneToOneField(
        "models_registry.ModelFile", on_delete=models.CASCADE, primary_key=True, related_name="cover"
    )
    origin = models.CharField(_("origin"), max_length=8, choices=Origin)
    jpeg = models.BinaryField(_("image"))
    sha256 = models.CharField(_("SHA-256"), max_length=64)

    class Meta:
        verbose_name = _("cover")
        verbose_name_plural = _("covers")

    def __str__(self) -> str:
        return str(self.pk)

    @classmethod
    def store(cls, file: models.Model, origin: str, jpeg: bytes) -> ModelCover:
        """Store the cover of a file instead of its former one."""
        values = {"origin": origin, "jpeg": jpeg, "sha256": hashlib.sha256(jpeg).hexdigest()}
        return cls.objects.update_or_create(file_id=file.pk, defaults=values)[0]


def cover_jpeg(image: Image.Image) -> bytes:
    """The image as JPEG, at most 512 pixels wide and high."""
    small = image_files.flatten(image)
    small.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def stated_cover(metadata: Mapping[str, str]) -> bytes | None:
    """The thumbnail of a file as JPEG; None if it has none, or one that cannot be decoded."""
    text = str(metadata.get(THUMBNAIL, ""))
    prefix = DATA_URI.match(text)
    if prefix is None:
        return None
    try:
        data = base64.b64decode(text[prefix.end() :], validate=True)
        return cover_jpeg(image_files.open_image(data, MAX_THUMBNAIL_PIXELS))
    except (binascii.Error, ValueError):  # UnusableImage is a ValueError
        return None
