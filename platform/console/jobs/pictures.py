"""A job's pictures for the console's pages. A browser asks for each once: what is stored never changes."""

from __future__ import annotations

from collections.abc import Callable

from django.core.cache import cache
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response

from jobs.images.storage import read_output
from jobs.images.thumbnails import thumbnail
from jobs.models import Output

CACHING = "private, max-age=86400, immutable"
KEPT_S = 3600


def whole(request: HttpRequest, output: Output) -> HttpResponse:
    return _answer(request, f'"{output.sha256}"', output.content_type, lambda: read_output(output))


def small(request: HttpRequest, output: Output) -> HttpResponse:
    key = f"thumbnail:{output.pk}:{output.sha256}"

    def read() -> bytes:
        kept: bytes | None = cache.get(key)
        if kept is None:
            kept = thumbnail(read_output(output))
            cache.set(key, kept, KEPT_S)
        return kept

    return _answer(request, f'"{output.sha256}-small"', "image/webp", read)


def _answer(request: HttpRequest, tag: str, content_type: str, read: Callable[[], bytes]) -> HttpResponse:
    response = get_conditional_response(request, etag=tag)
    if response is None:
        try:
            response = HttpResponse(read(), content_type=content_type)
        except FileNotFoundError:
            raise Http404 from None
    response["ETag"] = tag
    response["Cache-Control"] = CACHING
    return response
