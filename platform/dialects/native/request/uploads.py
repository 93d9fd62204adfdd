"""Uploaded input images, and downloads of outputs."""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.translation import gettext as _
from rest_framework.request import Request

from access.models import BusinessSource
from dialects.native.errors import Problem, too_large
from dialects.native.models import UploadedImage
from jobs.errors import InvalidImage
from jobs.images.input_files import MAX_INPUT_BYTES
from jobs.images.storage import store_input
from jobs.images.video.ranges import file_response
from jobs.models import Output

RAW_CONTENT_TYPES = ("image/", "application/octet-stream")


def store_upload(source: BusinessSource, request: Request) -> tuple[str, bool]:
    """Store an uploaded image. Returns its SHA-256, and whether it is new for this source. Raises Problem."""
    try:
        image = store_input(uploaded_bytes(request))
    except InvalidImage as refused:  # its field name is one of a job request, and left out here
        raise Problem(422, refused.code, refused.message) from None
    _upload, is_new = UploadedImage.objects.get_or_create(source=source, image_id=image.sha256)
    return image.sha256, is_new


def record_uploads(source: BusinessSource, digests: Iterable[str]) -> None:
    """Record stored images as uploads of the source, so that it may reference them."""
    uploads = [UploadedImage(source=source, image_id=digest) for digest in digests]
    UploadedImage.objects.bulk_create(uploads, ignore_conflicts=True)


def uploaded_bytes(request: Request, *, videos: bool = False) -> bytes:
    """The body, or the form field ``file``. ``videos``: whether a video may be sent, too. Raises Problem."""
    content_type = request._request.content_type or ""
    if content_type == "multipart/form-data":
        return _field(request)
    if not content_type.startswith((*RAW_CONTENT_TYPES, "video/") if videos else RAW_CONTENT_TYPES):
        detail = _("Send the image as image/*, or as multipart/form-data with the field file.")
        if videos:
            detail = _("Send the file as image/* or video/*, or as multipart/form-data with the field file.")
        raise Problem(415, "unsupported_media_type", detail)
    return request._request.body


def _field(request: Request) -> bytes:
    if int(request.META.get("CONTENT_LENGTH") or 0) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        raise too_large()
    file = request.FILES.get("file")
    if file is None:
        raise Problem(422, "invalid", _("The form field file is required."), field="file")
    if file.size > MAX_INPUT_BYTES:
        raise too_large()
    return file.read()


def output_file(output: Output, request: Request) -> HttpResponseBase:
    """Response with the file of an output, or 304 if the client has it. Raises Problem 410 if it was deleted."""
    etag = f'"{output.sha256}"'
    not_modified = get_conditional_response(request._request, etag=etag)
    if isinstance(not_modified, HttpResponse):
        return not_modified
    try:
        response = file_response(
            request._request, output.file.open("rb"), output.content_type, output.size_bytes
        )
    except FileNotFoundError:
        raise Problem(410, "gone", _("This image has been deleted.")) from None
    response["ETag"] = etag
    response["Cache-Control"] = "private, max-age=31536000, immutable"
    return response
