"""URLs under which clients, and only those who were told, get their pictures.

The signature is in the path: old clients lose a query string. A URL without expiry is good for as long as its source
says that its pictures are public.
"""

from __future__ import annotations

import time
import uuid
from typing import Literal

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signing import b64_encode
from django.http import HttpRequest
from django.urls import reverse
from django.utils.crypto import constant_time_compare, salted_hmac

from jobs.models import Job, Output, OutputKind

from .storage import CONTENT_TYPES

Form = Literal["picture", "base64"]

NEVER = 0
SIGNATURE_BYTES = 16
LONGEST_EXPIRY = 12
ROUNDED_TO_S = 3600  # so that a picture asked for twice has one URL, which caches know
PREVIEW = "preview"
INPUT = "input"
# What a token speaks of: each kind of output counts from 0.
ROUTES = {
    OutputKind.PICTURE: ("picture-output", "{}"),
    OutputKind.CONTROL_MAP: ("picture-map", "map-{}"),
    OutputKind.MARKED: ("picture-marked", "marked-{}"),
}
SUFFIXES = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}


def base_url(request: HttpRequest | None = None) -> str:
    """Where clients find this platform: PUBLIC_URL, or the host that they called."""
    if settings.PUBLIC_URL:
        return settings.PUBLIC_URL.rstrip("/")
    if request is None:
        raise ImproperlyConfigured("PUBLIC_URL is not set, and there is no request to tell it")
    return f"{request.scheme}://{request.get_host()}"


def output_urls(job: Job, base: str, form: Form = "picture", age_s: int | None = None) -> list[str]:
    """Absolute URLs of the job's pictures, in their order. ``base`` is a base_url(); with ``age_s`` they end sooner."""
    return [_output_url(output, base, _expiry_for(job, age_s), form) for output in job.pictures]


def future_urls(job: Job, base: str, form: Form = "picture", age_s: int | None = None) -> list[str]:
    """Where the pictures of a job will be that has not ended."""
    request = job.generation_request
    pictures = [
        Output(job=job, index=index, content_type=CONTENT_TYPES[request.output_format])
        for index in range(request.num_outputs)
    ]
    return [_output_url(picture, base, _expiry_for(job, age_s), form) for picture in pictures]


def input_url(sha256: str, base: str) -> str:
    """Of a PNG file that was sent to us, for whoever sent it."""
    return base + reverse("picture-input", args=[_token(INPUT, sha256, _expiry()), sha256])


def control_map_urls(job: Job, base: str) -> list[str]:
    """Of what its ControlNets were shown."""
    expiry = NEVER if job.source.public_pictures else _expiry()
    return [_output_url(output, base, expiry, "picture") for output in job.control_maps]


def output_url(output: Output, base: str) -> str:
    """Of one picture, or of a marked copy of it."""
    expiry = NEVER if output.job.source.public_pictures else _expiry()
    return _output_url(output, base, expiry, "picture")


def preview_url(job: Job, base: str) -> str:
    """Of the running job's newest preview; there is nothing any more when it has ended."""
    return base + reverse("picture-preview", args=[job.pk, _token(job.pk, PREVIEW, _expiry())])


def allowed_until(job_id: uuid.UUID | str, what: int | str, token: str) -> int | None:
    """When the token ends, or NEVER; None for a forged or an ended one."""
    expiry = _expiry_of(token)
    if expiry is None or not constant_time_compare(token, _token(job_id, what, expiry)):
        return None
    return expiry if expiry == NEVER or expiry > time.time() else None


def _output_url(output: Output, base: str, expiry: int, form: Form) -> str:
    suffix = "base64" if form == "base64" else SUFFIXES[output.content_type]
    route, what = ROUTES[OutputKind(output.kind)]
    token = _token(output.job_id, what.format(output.index), expiry)
    return base + reverse(route, args=[output.job_id, token, output.index, suffix])


def _expiry_for(job: Job, age_s: int | None) -> int:
    return NEVER if job.source.public_pictures and age_s is None else _expiry(age_s)


def _expiry(age_s: int | None = None) -> int:
    soonest = int(time.time()) + min(settings.PICTURE_URL_AGE_S, age_s or settings.PICTURE_URL_AGE_S)
    return soonest + -soonest % ROUNDED_TO_S


def _token(job_id: uuid.UUID | str, what: int | str, expiry: int) -> str:
    return f"{expiry:x}-{_signature(f'{job_id}/{what}/{expiry}')}"


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
