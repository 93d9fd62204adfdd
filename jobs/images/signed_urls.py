"""Signed URLs of images, with an expiry time.

The signature is in the path, because some old clients drop the query string. A URL without expiry is valid while
``public_pictures`` of its source is set.
"""

from __future__ import annotations

import time
import uuid
from typing import Literal
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signing import b64_encode
from django.http import HttpRequest
from django.urls import reverse
from django.utils.crypto import constant_time_compare, salted_hmac

from jobs.models import Job, Output, OutputKind

from . import storage
from .storage import CONTENT_TYPES

Form = Literal["picture", "base64"]

NEVER = 0
SIGNATURE_BYTES = 16
LONGEST_EXPIRY = 12
ROUNDED_TO_S = 3600  # so that repeated requests yield the same, cacheable URL
PREVIEW = "preview"
INPUT = "input"
# Route and token subject of each kind of output; indices start at 0 per kind.
ROUTES = {
    OutputKind.IMAGE: ("picture-output", "{}"),
    OutputKind.CONTROL_MAP: ("picture-map", "map-{}"),
    OutputKind.MARKED: ("picture-marked", "marked-{}"),
    OutputKind.EXTRA: ("picture-extra", "extra-{}"),
}
SUFFIXES = {CONTENT_TYPES[name]: suffix for name, suffix in storage.SUFFIXES.items()}


def base_url(request: HttpRequest | None = None) -> str:
    """Public base URL of this platform: PUBLIC_URL, or else the host of the request.

    Raises ImproperlyConfigured if there is neither.
    """
    if settings.PUBLIC_URL:
        return settings.PUBLIC_URL.rstrip("/")
    if request is None:
        raise ImproperlyConfigured("PUBLIC_URL is not set, and there is no request whose host could be used")
    return f"{request.scheme}://{request.get_host()}"


def public_path(path: str) -> str:
    """Path of a resource as clients see it: below the path of PUBLIC_URL, if it has one."""
    return urlsplit(settings.PUBLIC_URL).path.rstrip("/") + path


def output_urls(job: Job, base: str, form: Form = "picture", age_s: int | None = None) -> list[str]:
    """Absolute URLs of the job's images, in order.

    ``base``: a base_url(). ``age_s``: lifetime in seconds, at most PICTURE_URL_AGE_S.
    """
    return [_output_url(output, base, _expiry_for(job, age_s), form) for output in job.image_outputs]


def future_urls(job: Job, base: str, form: Form = "picture", age_s: int | None = None) -> list[str]:
    """URLs that the images of an unfinished job will have; none for videos, whose file type is not known before."""
    request = job.generation_request
    if request.video:
        return []
    outputs = [
        Output(job=job, index=index, content_type=CONTENT_TYPES[request.output_format])
        for index in range(request.num_outputs)
    ]
    return [_output_url(output, base, _expiry_for(job, age_s), form) for output in outputs]


def input_url(sha256: str, base: str) -> str:
    """URL of an uploaded PNG file."""
    return base + reverse("picture-input", args=[_token(INPUT, sha256, _expiry()), sha256])


def control_map_urls(job: Job, base: str) -> list[str]:
    """URLs of the job's control maps."""
    expiry = NEVER if job.source.public_pictures else _expiry()
    return [_output_url(output, base, expiry, "picture") for output in job.control_maps]


def output_url(output: Output, base: str) -> str:
    """URL of one image, or of a labeled copy."""
    expiry = NEVER if output.job.source.public_pictures else _expiry()
    return _output_url(output, base, expiry, "picture")


def preview_url(job: Job, base: str) -> str:
    """URL of the newest preview of a running job. Previews are deleted when the job ends."""
    return base + reverse("picture-preview", args=[job.pk, _token(job.pk, PREVIEW, _expiry())])


def expiring_token(job_id: uuid.UUID, subject: str) -> str:
    """Token of a URL of a job's file that always expires, after PICTURE_URL_AGE_S."""
    return _token(job_id, subject, _expiry())


def allowed_until(job_id: uuid.UUID | str, subject: int | str, token: str) -> int | None:
    """Expiry of a valid token (Unix time in seconds, or NEVER); None if it is forged or expired."""
    expiry = _expiry_of(token)
    if expiry is None or not constant_time_compare(token, _token(job_id, subject, expiry)):
        return None
    return expiry if expiry == NEVER or expiry > time.time() else None


def _output_url(output: Output, base: str, expiry: int, form: Form) -> str:
    suffix = "base64" if form == "base64" else SUFFIXES[output.content_type]
    route, subject = ROUTES[OutputKind(output.kind)]
    token = _token(output.job_id, subject.format(output.index), expiry)
    return base + reverse(route, args=[output.job_id, token, output.index, suffix])


def _expiry_for(job: Job, age_s: int | None) -> int:
    return NEVER if job.source.public_pictures and age_s is None else _expiry(age_s)


def _expiry(age_s: int | None = None) -> int:
    soonest = int(time.time()) + min(settings.PICTURE_URL_AGE_S, age_s or settings.PICTURE_URL_AGE_S)
    return soonest + -soonest % ROUNDED_TO_S


def _token(job_id: uuid.UUID | str, subject: int | str, expiry: int) -> str:
    return f"{expiry:x}-{_signature(f'{job_id}/{subject}/{expiry}')}"


def _signature(text: str) -> str:
    key = settings.PICTURE_URL_KEY or settings.SECRET_KEY
    digest = salted_hmac("jobs.images.signed_urls", text, secret=key, algorithm="sha256").digest()
    return b64_encode(digest[:SIGNATURE_BYTES]).decode()


def _expiry_of(token: str) -> int | None:
    digits = token.partition("-")[0]
    try:
        return int(digits, 16) if len(digits) <= LONGEST_EXPIRY else None
    except ValueError:
        return None
