"""Input images, which this API takes by URL."""

from __future__ import annotations

import io

from django.conf import settings
from django.utils.translation import gettext as _
from PIL import Image
from PIL.ExifTags import Base

from access.models import BusinessSource
from dialects.smzdm.errors import Code, WireError
from jobs.errors import Refused
from jobs.images import fetch
from jobs.outbound.policy import Policy

ROTATED_ORIENTATIONS = frozenset({5, 6, 7, 8})  # EXIF values that exchange width and height


def fetch_image(field: str, url: str, source: BusinessSource) -> bytes:
    """The image file at the URL of a field. Raises WireError."""
    if not settings.INPUT_URLS:
        raise WireError(
            Code.UNSUPPORTED, _("%(field)s: image URLs are disabled on this server.") % {"field": field}
        )
    try:
        return fetch.fetch_image(url, Policy.of(source))
    except Refused as refused:
        raise WireError(Code.IMAGE, f"{field}: {refused.message}") from refused


def upright_size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels, after the EXIF orientation is applied."""
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
        is_rotated = image.getexif().get(Base.Orientation) in ROTATED_ORIENTATIONS
    return (height, width) if is_rotated else (width, height)
