"""Responses with a part of a file, as players ask for it (RFC 9110, section 14)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from django.core.files import File
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
CHUNK = 64 * 1024


def file_response(request: HttpRequest, file: File, content_type: str, size: int) -> HttpResponseBase:
    """Return the file, or the part that the request's Range header names; 416 if there is no such part.

    Several ranges, and ranges under a condition, are answered with the whole file.
    """
    match = RANGE.fullmatch(request.headers.get("Range", ""))
    if match is None or "If-Range" in request.headers or match.groups() == ("", ""):
        response: HttpResponseBase = FileResponse(file, content_type=content_type)
        response["Accept-Ranges"] = "bytes"
        return response
    first, last = _bounds(match[1], match[2], size)
    if first > last:
        file.close()
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    file.seek(first)
    response = StreamingHttpResponse(_part(file, last - first + 1), status=206, content_type=content_type)
    response["Content-Range"] = f"bytes {first}-{last}/{size}"
    response["Content-Length"] = str(last - first + 1)
    response["Accept-Ranges"] = "bytes"
    return response


def _bounds(first: str, last: str, size: int) -> tuple[int, int]:
    if not first:  # the last bytes
        return max(0, size - int(last)), size - 1 if int(last) else -1
    end = min(int(last), size - 1) if last else size - 1
    return (int(first), end) if int(first) < size else (1, 0)


def _part(file: File, length: int) -> Iterator[bytes]:
    with file:
        while length > 0 and (chunk := file.read(min(CHUNK, length))):
            length -= len(chunk)
            yield chunk
