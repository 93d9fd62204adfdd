"""Pictures on their way into storage and out of it. A row never holds one; storage is django's default storage."""

from __future__ import annotations

import base64
import hashlib
import io
import secrets
from collections.abc import Iterable, Iterator, Mapping

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone
from django.utils.translation import gettext as _
from PIL import Image, UnidentifiedImageError

from gpu_runner.protocol import ControlMap, GenerationRequest, Picture
from gpu_runner.protocol import Image as RunnerImage
from jobs.errors import InvalidImage
from jobs.models import InputPicture, Job, Output, OutputKind

from . import file_metadata, input_usage, watermark

MAX_INPUT_BYTES = 32 * 1024 * 1024
MAX_INPUT_PIXELS = 64_000_000
INPUT_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
CONTENT_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
SUFFIXES = {"png": "png", "jpeg": "jpg", "webp": "webp"}


def store_input(data: bytes) -> Picture:
    """Stores a picture once, by its content. Raises BadPicture."""
    check_picture(data)
    digest = hashlib.sha256(data).hexdigest()
    if not input_usage.touch(digest):
        path = default_storage.save(f"inputs/{digest[:2]}/{digest}-{secrets.token_hex(4)}", ContentFile(data))
        _row, created = InputPicture.objects.get_or_create(
            sha256=digest, defaults={"file": path, "size_bytes": len(data)}
        )
        if not created:  # the same picture came twice at once
            default_storage.delete(path)
    return Picture(sha256=digest)


def store_inputs(request: GenerationRequest, pictures: Mapping[str, bytes]) -> None:
    """Stores what the request names; afterwards every picture it names is there. Raises BadPicture."""
    for wanted in request.pictures():
        if wanted in pictures:
            if store_input(pictures[wanted]).sha256 != wanted:
                raise InvalidImage(_("An input picture is not what its hash says."), field="init_images")
        elif not input_usage.touch(wanted):
            raise InvalidImage(_("An input picture is missing."), field="init_images")


def problems(request: GenerationRequest, pictures: Mapping[str, bytes]) -> Iterator[InvalidImage]:
    """All that ``store_inputs`` could refuse, without storing anything."""
    for wanted in request.pictures():
        try:
            if wanted in pictures:
                check_picture(pictures[wanted])
            elif not InputPicture.objects.filter(pk=wanted).exists():
                yield InvalidImage(_("An input picture is missing."), field="init_images")
        except InvalidImage as refused:
            yield refused


def read_input(sha256: str) -> bytes:
    with InputPicture.objects.get(pk=sha256).file.open("rb") as file:
        return file.read()


def read_output(output: Output) -> bytes:
    with output.file.open("rb") as file:
        return file.read()


def store_output(job: Job, request: GenerationRequest, image: RunnerImage, infotext: str) -> Output:
    """Stores one finished picture. The Output is not saved: that happens when, and only if, the job succeeds."""
    data = _as_file(request, image, infotext)
    output = Output(
        index=image.index,
        width=image.width,
        height=image.height,
        seed=image.seed,
        infotext=infotext,
        nsfw=image.nsfw,
        nsfw_score=image.nsfw_score,
    )
    return keep(output, job, data, request.output_format)


def store_map(job: Job, control_map: ControlMap) -> Output:
    """Stores what a ControlNet was shown, without loss and without a text."""
    data = base64.b64decode(control_map.data)
    with Image.open(io.BytesIO(data)) as picture:
        width, height = picture.size
    kind, seed = OutputKind.CONTROL_MAP, job.generation_request.seed
    output = Output(kind=kind, index=control_map.index, width=width, height=height, seed=seed)
    return keep(output, job, data, "png")


def keep(output: Output, job: Job, data: bytes, file_format: str) -> Output:
    """Stores the file; the row is the caller's to save."""
    prefix = "" if output.kind == OutputKind.PICTURE else f"{output.kind}-"
    name = f"{job.pk}/{prefix}{output.index}-{secrets.token_urlsafe(12)}.{SUFFIXES[file_format]}"
    output.job = job
    output.file.name = default_storage.save(f"outputs/{timezone.now():%Y/%m/%d}/{name}", ContentFile(data))
    output.sha256, output.size_bytes = hashlib.sha256(data).hexdigest(), len(data)
    output.content_type = CONTENT_TYPES[file_format]
    return output


def _as_file(request: GenerationRequest, image: RunnerImage, infotext: str) -> bytes:
    data = watermark.drawn(base64.b64decode(image.data), request.labels)
    return file_metadata.with_marks(_with_infotext(data, request, image.index, infotext), request.marks)


def _with_infotext(data: bytes, request: GenerationRequest, index: int, infotext: str) -> bytes:
    """A picture that was only enlarged keeps what is known of how it was drawn, and says the rest under another key."""
    if request.task != "upscale":
        return file_metadata.with_infotext(
            data, request.output_format, infotext, quality=request.output_quality
        )
    sources = request.init_images
    kept = file_metadata.infotext_of(read_input(sources[index if len(sources) > 1 else 0].sha256))
    if request.output_format != "png":
        return file_metadata.with_infotext(
            data, request.output_format, kept or infotext, quality=request.output_quality
        )
    with_kept = file_metadata.with_infotext(data, "png", kept)
    return file_metadata.with_infotext(with_kept, "png", infotext, key="postprocessing")


def delete_files(outputs: Iterable[Output]) -> None:
    for output in outputs:
        output.file.delete(save=False)


def check_picture(data: bytes) -> None:
    """Raises BadPicture."""
    if len(data) > MAX_INPUT_BYTES:
        message = _("An input picture is larger than %(limit)d MB.") % {"limit": MAX_INPUT_BYTES >> 20}
        raise InvalidImage(message, field="init_images")
    try:
        with Image.open(io.BytesIO(data), formats=INPUT_FORMATS) as picture:
            pixels = picture.width * picture.height
            picture.verify()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InvalidImage(_("An input picture cannot be read."), field="init_images") from error
    if pixels > MAX_INPUT_PIXELS:
        message = _("An input picture has more than %(limit)d pixels.") % {"limit": MAX_INPUT_PIXELS}
        raise InvalidImage(message, field="init_images")
