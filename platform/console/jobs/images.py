"""HTTP responses with a job's images and thumbnails. Browsers cache them: a stored output never changes."""

from __future__ import annotations

import io
from collections.abc import Callable

from django.core.cache import cache
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response

from gpu_runner.protocol.images.files import few_at_a_time
from jobs.images import thumbnails
from jobs.images.input_files import open_image
from jobs.images.storage import read_input, read_output
from jobs.images.video.ranges import file_response
from jobs.images.video.storage import shown_image
from jobs.models import InputPicture, Output

CACHE_CONTROL = "private, max-age=86400, immutable"
THUMBNAIL_CACHE_S = 3600
INPUT_EDGE = 2048


def full_size(request: HttpRequest, output: Output) -> HttpResponseBase:
    """The stored image, or the part of a video that a player asks for. Raises Http404 if its file was deleted."""
    if output.needs_player:
        return _video(request, output)
    return _cached_response(request, f'"{output.sha256}"', output.content_type, lambda: read_output(output))


def thumbnail(request: HttpRequest, output: Output) -> HttpResponse:
    """A small WebP of the image. Raises Http404 if its file was deleted."""
    key = f"thumbnail:{output.pk}:{output.sha256}"

    def read() -> bytes:
        cached: bytes | None = cache.get(key)
        if cached is None:
            cached = thumbnails.thumbnail(shown_image(output))
            cache.set(key, cached, THUMBNAIL_CACHE_S)
        return cached

    return _cached_response(request, f'"{output.sha256}-small"', "image/webp", read)


def _video(request: HttpRequest, output: Output) -> HttpResponseBase:
    try:
        response = file_response(request, output.file.open("rb"), output.content_type, output.size_bytes)
    except FileNotFoundError:
        raise Http404 from None
    response["ETag"] = f'"{output.sha256}"'
    response["Cache-Control"] = CACHE_CONTROL
    return response


def input_image(request: HttpRequest, sha256: str) -> HttpResponse:
    """An input image as PNG, with at most INPUT_EDGE pixels per edge. Raises Http404 if it was deleted.

    It is encoded anew: the client's file may contain anything besides the image.
    """
    return _cached_response(request, f'"{sha256}-input"', "image/png", lambda: _small_png(read_input(sha256)))


@few_at_a_time
def _small_png(data: bytes) -> bytes:
    image = open_image(data)
    image.thumbnail((INPUT_EDGE, INPUT_EDGE))
    png = io.BytesIO()
    image.save(png, "PNG", compress_level=1)
    return png.getvalue()


def _cached_response(
    request: HttpRequest, etag: str, content_type: str, read: Callable[[], bytes]
) -> HttpResponse:
    response = get_conditional_response(request, etag=etag)
    if response is None:
        try:
            response = HttpResponse(read(), content_type=content_type)
        except (FileNotFoundError, InputPicture.DoesNotExist):
            raise Http404 from None
    response["ETag"] = etag
    response["Cache-Control"] = CACHE_CONTROL
    return response
