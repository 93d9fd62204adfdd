"""Storage of input and output images in Django's default storage. Rows hold file names, never image data."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import secrets
from collections.abc import Iterable, Iterator, Mapping

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone
from django.utils.translation import gettext as _

from gpu_runner.protocol import ControlMap, GenerationRequest, InputImage
from gpu_runner.protocol import Image as RunnerImage
from gpu_runner.protocol.images import files as image_files
from jobs.errors import InvalidImage
from jobs.models import InputPicture, Job, Output, OutputKind

from . import file_metadata, input_usage, watermark
from .input_files import check_image
from .labels import aigc, c2pa_manifest, explicit, origin
from .labels.implicit import ImplicitLabel, label_of

CONTENT_TYPES = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "avif": "image/avif",
    "apng": "image/apng",
    "gif": "image/gif",
    "mp4": "video/mp4",
    "webm": "video/webm",
}
SUFFIXES = {name: {"jpeg": "jpg", "apng": "png"}.get(name, name) for name in CONTENT_TYPES}


def store_input(data: bytes) -> InputImage:
    """Store an input image, deduplicated by its SHA-256. Raises InvalidImage."""
    check_image(data)
    digest = hashlib.sha256(data).hexdigest()
    if not input_usage.touch(digest):
        path = default_storage.save(f"inputs/{digest[:2]}/{digest}-{secrets.token_hex(4)}", ContentFile(data))
        _row, created = InputPicture.objects.get_or_create(
            sha256=digest, defaults={"file": path, "size_bytes": len(data)}
        )
        if not created:  # a concurrent request stored the same image
            default_storage.delete(path)
    return InputImage(sha256=digest)


def store_inputs(request: GenerationRequest, data_by_hash: Mapping[str, bytes]) -> None:
    """Store the input images of a request. ``data_by_hash``: new ones, by SHA-256; others must already be stored.

    Raises InvalidImage.
    """
    for sha256, path in request.picture_paths().items():
        if sha256 in data_by_hash:
            with _located(path):
                stored = store_input(data_by_hash[sha256])
            if stored.sha256 != sha256:
                raise InvalidImage(_("SHA-256 of an input image does not match."), field=path)
        elif not input_usage.touch(sha256):
            raise _missing(sha256, path)


def problems(request: GenerationRequest, data_by_hash: Mapping[str, bytes]) -> Iterator[InvalidImage]:
    """Yield the errors that ``store_inputs`` would raise, without storing anything."""
    for sha256, path in request.picture_paths().items():
        try:
            if sha256 in data_by_hash:
                with _located(path):
                    check_image(data_by_hash[sha256])
            elif not InputPicture.objects.filter(pk=sha256).exists():
                yield _missing(sha256, path)
        except InvalidImage as error:
            yield error


def _missing(sha256: str, path: str) -> InvalidImage:
    message = _("Input image %(sha256)s is not stored.") % {"sha256": sha256[:12]}
    return InvalidImage(message, field=path)


@contextlib.contextmanager
def _located(path: str) -> Iterator[None]:
    """Name the image's place in the request as the field of a refusal."""
    try:
        yield
    except InvalidImage as error:
        raise InvalidImage(error.message, field=path) from error


def read_input(sha256: str) -> bytes:
    with InputPicture.objects.get(pk=sha256).file.open("rb") as file:
        return file.read()


def read_output(output: Output) -> bytes:
    with output.file.open("rb") as file:
        return file.read()


def store_output(job: Job, request: GenerationRequest, image: RunnerImage, infotext: str) -> Output:
    """Store the file of one generated image. The Output row is not saved here, but when the job succeeds."""
    kind = OutputKind.EXTRA if image.extra else OutputKind.IMAGE
    label = label_of(job, request, image_number(job, kind, image.index))
    data = _as_file(job, request, image, infotext, label)
    data = sign(data, request.output_format, request, label.number)
    output = Output(
        kind=kind,
        index=image.index,
        width=image.width,
        height=image.height,
        seed=image.seed,
        infotext=infotext,
        nsfw=image.nsfw,
        nsfw_score=image.nsfw_score,
        visible_texts=[
            lettering.text for lettering in explicit.letterings(job.source, request, request.labels)
        ],
    )
    output.perceptual_hash = origin.perceptual_hash(image_files.open_image(data, max_pixels=None))
    return keep(output, job, data, request.output_format)


def store_map(job: Job, control_map: ControlMap) -> Output:
    """Store the control map of a ControlNet unit as PNG, without infotext."""
    data = base64.b64decode(control_map.data)
    width, height = image_files.read_size(data)
    kind, seed = OutputKind.CONTROL_MAP, job.generation_request.seed
    output = Output(kind=kind, index=control_map.index, width=width, height=height, seed=seed)
    return keep(output, job, data, "png")


def keep(output: Output, job: Job, data: bytes, file_format: str) -> Output:
    """Store the file and fill in its fields. The caller saves the row."""
    prefix = "" if output.kind == OutputKind.IMAGE else f"{output.kind}-"
    name = f"{job.pk}/{prefix}{output.index}-{secrets.token_urlsafe(12)}.{SUFFIXES[file_format]}"
    output.job = job
    output.file.name = default_storage.save(f"outputs/{timezone.now():%Y/%m/%d}/{name}", ContentFile(data))
    output.sha256, output.size_bytes = hashlib.sha256(data).hexdigest(), len(data)
    output.content_type = CONTENT_TYPES[file_format]
    return output


def sign(data: bytes, file_format: str, request: GenerationRequest, number: str) -> bytes:
    """Add the C2PA manifest, if there is a certificate. The last step of writing a file."""
    if not c2pa_manifest.is_configured():
        return data
    inputs = [read_input(image.sha256) for image in request.init_images]
    return c2pa_manifest.signed(data, file_format, request, number, inputs)


def image_number(job: Job, kind: OutputKind, index: int) -> str:
    """Number of an output that is unique on this platform, and on others: the ProduceID of its AIGC label."""
    return f"{job.pk}-{index}" if kind == OutputKind.IMAGE else f"{job.pk}-{kind}-{index}"


def _as_file(
    job: Job, request: GenerationRequest, image: RunnerImage, infotext: str, label: ImplicitLabel
) -> bytes:
    letterings = explicit.letterings(job.source, request, request.labels)
    data = watermark.drawn(base64.b64decode(image.data), letterings)
    marks = [mark for mark in request.marks if not label.aigc or mark.key != aigc.KEY]
    return file_metadata.with_marks(_with_infotext(data, request, image.index, infotext, label), marks)


def _with_infotext(
    data: bytes, request: GenerationRequest, index: int, infotext: str, label: ImplicitLabel
) -> bytes:
    """Add infotext and label. An upscaled image keeps its source's infotext.

    In a PNG, the upscaling parameters go under the key ``postprocessing``, as in A1111.
    """
    file_format, quality = request.output_format, request.output_quality
    if request.task != "upscale":
        return file_metadata.with_infotext(data, file_format, infotext, quality=quality, label=label)
    sources = request.init_images
    kept = file_metadata.infotext_of(read_input(sources[index if len(sources) > 1 else 0].sha256))
    if file_format != "png":
        return file_metadata.with_infotext(data, file_format, kept or infotext, quality=quality, label=label)
    with_kept = file_metadata.with_infotext(data, "png", kept, label=label)
    return file_metadata.with_infotext(with_kept, "png", infotext, key="postprocessing")


def delete_files(outputs: Iterable[Output]) -> None:
    for output in outputs:
        output.file.delete(save=False)
        if output.poster:
            output.poster.delete(save=False)
