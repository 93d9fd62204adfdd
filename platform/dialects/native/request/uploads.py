"""Pictures that come before the job they are for, and those that jobs brought."""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings
from django.http import FileResponse, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.translation import gettext as _
from rest_framework.request import Request

from access.models import BusinessSource
from dialects.native.errors import Problem, too_large
from dialects.native.models import Upload
from jobs.errors import InvalidImage
from jobs.images.storage import MAX_INPUT_BYTES, store_input
from jobs.models import Output

RAW = ("image/", "application/octet-stream")


def store_upload(source: BusinessSource, request: Request) -> tuple[str, bool]:
    """The picture's SHA-256, and whether this source had not sent it before. Raises Problem."""
    try:
        picture = store_input(_sent(request))
    except InvalidImage as refused:  # whose field is a job's
        raise Problem(422, refused.code, refused.message) from None
    _upload, is_new = Upload.objects.get_or_create(source=source, picture_id=picture.sha256)
    return picture.sha256, is_new


def remember(source: BusinessSource, digests: Iterable[str]) -> None:
    """Pictures that are stored: the source may name them from now on."""
    uploads = [Upload(source=source, picture_id=digest) for digest in digests]
    Upload.objects.bulk_create(uploads, ignore_conflicts=True)


def _sent(request: Request) -> bytes:
    content_type = request._request.content_type or ""
    if content_type == "multipart/form-data":
        return _field(request)
    if not content_type.startswith(RAW):
        detail = _("Send the file itself as image/* or a form with the field file.")
        raise Problem(415, "unsupported_media_type", detail)
    return request._request.body


def _field(request: Request) -> bytes:
    if int(request.META.get("CONTENT_LENGTH") or 0) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        raise too_large()
    file = request.FILES.get("file")
    if file is None:
        raise Problem(422, "invalid", _("The form has no file in the field file."), field="file")
    if file.size > MAX_INPUT_BYTES:
        raise too_large()
    return file.read()


def output_file(output: Output, request: Request) -> HttpResponseBase:
    etag = f'"{output.sha256}"'
    not_modified = get_conditional_response(request._request, etag=etag)
    if isinstance(not_modified, HttpResponse):
        return not_modified
    try:
        response = FileResponse(output.file.open("rb"), content_type=output.content_type)
    except FileNotFoundError:
        raise Problem(410, "gone", _("This picture is no longer kept.")) from None
    response["ETag"] = etag
    response["Cache-Control"] = "private, max-age=31536000, immutable"
    return response
