"""Views that serve images under signed URLs (jobs.images.signed_urls). Any invalid URL is a 404."""

from __future__ import annotations

import base64
import time
import uuid

from django.conf import settings
from django.core.files.storage import FileSystemStorage, default_storage
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils.cache import get_conditional_response
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from jobs.models import InputPicture, Output, OutputKind, Preview

from .signed_urls import INPUT, NEVER, PREVIEW, ROUTES, SUFFIXES, allowed_until
from .storage import read_output
from .video.ranges import file_response

A_YEAR_S = 365 * 24 * 3600


@csrf_exempt  # so that a POST is answered with 405, not with a CSRF error
@require_safe
def output(
    request: HttpRequest,
    job_id: uuid.UUID,
    token: str,
    index: int,
    suffix: str,
    kind: OutputKind = OutputKind.IMAGE,
) -> HttpResponseBase:
    found, until = found_output(job_id, token, index, suffix, kind)
    tag = f'"{found.sha256}-{suffix}"'
    response = get_conditional_response(request, etag=tag) or _file_response(request, found, suffix)
    if not isinstance(response, HttpResponseRedirect):
        response["ETag"] = tag
        response["Cache-Control"] = _caching(until)
    return response


@csrf_exempt
@require_safe
def input_picture(request: HttpRequest, token: str, sha256: str) -> HttpResponseBase:
    found, until = found_input(token, sha256)
    try:
        response = FileResponse(found.file.open("rb"), content_type="image/png")
    except FileNotFoundError:
        raise Http404 from None
    response["Cache-Control"] = _caching(until)
    return response


@csrf_exempt
@require_safe
def preview(request: HttpRequest, job_id: uuid.UUID, token: str) -> HttpResponse:
    _until(job_id, PREVIEW, token)
    newest = get_object_or_404(Preview, job_id=job_id)
    # The preview changes every few steps.
    return HttpResponse(bytes(newest.jpeg), content_type="image/jpeg", headers={"Cache-Control": "no-store"})


def found_output(
    job_id: uuid.UUID, token: str, index: int, suffix: str, kind: OutputKind = OutputKind.IMAGE
) -> tuple[Output, int]:
    """Output of a signed URL, and the URL's expiry (Unix time or NEVER). Raises Http404."""
    until = _until(job_id, ROUTES[kind][1].format(index), token)
    outputs = Output.objects.select_related("job__source")
    found = get_object_or_404(outputs, job_id=job_id, kind=kind, index=index)
    if until == NEVER and not found.job.source.public_pictures:
        raise Http404
    if suffix not in (SUFFIXES[found.content_type], "base64"):
        raise Http404
    return found, until


def found_input(token: str, sha256: str) -> tuple[InputPicture, int]:
    """Input image of a signed URL, and the URL's expiry. Raises Http404."""
    until = _until(INPUT, sha256, token)
    return get_object_or_404(InputPicture, pk=sha256), until


def _until(job_id: uuid.UUID | str, subject: int | str, token: str) -> int:
    until = allowed_until(job_id, subject, token)
    if until is None:
        raise Http404
    return until


def _file_response(request: HttpRequest, output: Output, suffix: str) -> HttpResponseBase:
    try:
        if suffix == "base64":
            text = base64.b64encode(read_output(output))
            return HttpResponse(text, content_type="text/plain; charset=us-ascii")
        if settings.PICTURE_REDIRECTS and not isinstance(default_storage, FileSystemStorage):
            # The storage's signature may expire before ours, so the redirect must not be cached.
            return HttpResponseRedirect(output.file.url, headers={"Cache-Control": "no-store"})
        return file_response(request, output.file.open("rb"), output.content_type, output.size_bytes)
    except FileNotFoundError:
        raise Http404 from None


def _caching(until: int) -> str:
    if until == NEVER:
        return f"public, max-age={A_YEAR_S}, immutable"
    return f"private, max-age={max(0, until - int(time.time()))}, immutable"


urlpatterns = [
    path("outputs/<uuid:job_id>/<str:token>/<int:index>.<slug:suffix>", output, name="picture-output"),
    path("inputs/<str:token>/<slug:sha256>.png", input_picture, name="picture-input"),
    path(
        "outputs/<uuid:job_id>/<str:token>/map-<int:index>.<slug:suffix>",
        output,
        {"kind": OutputKind.CONTROL_MAP},
        name="picture-map",
    ),
    path(
        "outputs/<uuid:job_id>/<str:token>/marked-<int:index>.<slug:suffix>",
        output,
        {"kind": OutputKind.MARKED},
        name="picture-marked",
    ),
    path(
        "outputs/<uuid:job_id>/<str:token>/extra-<int:index>.<slug:suffix>",
        output,
        {"kind": OutputKind.EXTRA},
        name="picture-extra",
    ),
    path("outputs/<uuid:job_id>/<str:token>/preview.jpg", preview, name="picture-preview"),
]
