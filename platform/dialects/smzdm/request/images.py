"""The pictures that a request names by URL."""

from __future__ import annotations

import io

from django.conf import settings
from django.utils.translation import gettext as _
from PIL import Image
from PIL.ExifTags import Base

from access.models import BusinessSource
from dialects.smzdm.errors import Code, WireError
from jobs.errors import Refused
from jobs.images.fetch import fetch_picture
from jobs.outbound.policy import Policy

SIDEWAYS = frozenset({5, 6, 7, 8})  # EXIF orientations


def fetched(field: str, url: str, source: BusinessSource) -> bytes:
    if not settings.INPUT_URLS:
        raise WireError(Code.UNSUPPORTED, _("%(field)s: URLs are not fetched here.") % {"field": field})
    try:
        return fetch_picture(url, Policy.of(source))
    except Refused as refused:
        raise WireError(Code.PICTURE, f"{field}: {refused.message}") from refused


def upright_size(data: bytes) -> tuple[int, int]:
    """As people see it, whichever way the camera was held."""
    with Image.open(io.BytesIO(data)) as picture:
        width, height = picture.size
        sideways = picture.getexif().get(Base.Orientation) in SIDEWAYS
    return (height, width) if sideways else (width, height)
