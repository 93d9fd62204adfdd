"""Pictures on their way into storage and out of it. A row never holds one; storage is django's default storage."""

from __future__ import annotations

import base64
import hashlib
import io
import secrets
from collections.abc import Iterable, Mapping

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone
from django.utils.translation import gettext as _
from PIL import Image, UnidentifiedImageError

from gpu_runner.protocol import GenerationRequest, Picture
from gpu_runner.protocol import Image as RunnerImage

from . import picture_files
from .errors import BadPicture
from .models import InputPicture, Job, Output

MAX_INPUT_BYTES = 32 * 1024 * 1024
MAX_INPUT_PIXELS = 64_000_000
INPUT_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
CONTENT_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
SUFFIXES = {"png": "png", "jpeg": "jpg", "webp": "webp"}


def store_input(data: bytes) -> Picture:
    """Stores a picture once, by its content. Raises BadPicture."""
    _must_be_a_picture(data)
    digest = hashlib.sha256(data).hexdigest()
    if not InputPicture.objects.filter(pk=digest).exists():
        path = default_storage.save(f"inputs/{digest[:2]}/{digest}-{secrets.token_hex(4)}", ContentFile(data))
        _row, created = InputPicture.objects.get_or_create(
            sha256=digest, defaults={"file": path, "size_bytes": len(data)}
        )
        if not created:  # the same picture came twice at once
            default_storage.delete(path)
    return Picture(sha256=digest)


def store_inputs(request: GenerationRequest, pictures: Mapping[str, bytes]) -> None:
    """Stores what the request names; afterwards every picture it names is there. Raises BadPicture."""
    for wanted in {picture.sha256 for picture in request.init_images}:
        if wanted in pictures:
            if store_input(pictures[wanted]).sha256 != wanted:
                raise BadPicture(_("An input picture is not what its hash says."), field="init_images")
        elif not InputPicture.objects.filter(pk=wanted).exists():
            raise BadPicture(_("An input picture is missing."), field="init_images")


def read_input(sha256: str) -> bytes:
    with InputPicture.objects.get(pk=sha256).file.open("rb") as file:
        return file.read()


def read_output(output: Output) -> bytes:
    with output.file.open("rb") as file:
        return file.read()


def store_output(job: Job, request: GenerationRequest, image: RunnerImage, infotext: str) -> Output:
    """Stores one finished picture. The Output is not saved: that happens when, and only if, the job succeeds."""
    data = picture_files.with_infotext(base64.b64decode(image.data), request.output_format, infotext)
    name = f"{job.pk}/{image.index}-{secrets.token_urlsafe(12)}.{SUFFIXES[request.output_format]}"
    path = default_storage.save(f"outputs/{timezone.now():%Y/%m/%d}/{name}", ContentFile(data))
    return Output(
        job=job,
        index=image.index,
        file=path,
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        width=image.width,
        height=image.height,
        seed=image.seed,
        content_type=CONTENT_TYPES[request.output_format],
        infotext=infotext,
    )


def delete_files(outputs: Iterable[Output]) -> None:
    for output in outputs:
        output.file.delete(save=False)


def _must_be_a_picture(data: bytes) -> None:
    if len(data) > MAX_INPUT_BYTES:
        message = _("An input picture is larger than %(limit)d MB.") % {"limit": MAX_INPUT_BYTES >> 20}
        raise BadPicture(message, field="init_images")
    try:
        with Image.open(io.BytesIO(data), formats=INPUT_FORMATS) as picture:
            pixels = picture.width * picture.height
            picture.verify()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadPicture(_("An input picture cannot be read."), field="init_images") from error
    if pixels > MAX_INPUT_PIXELS:
        message = _("An input picture has more than %(limit)d pixels.") % {"limit": MAX_INPUT_PIXELS}
        raise BadPicture(message, field="init_images")
