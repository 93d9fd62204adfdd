"""The pictures of a request, in base64 or by URL, within the vendor's limits."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext as _
from PIL import Image

from access.models import BusinessSource
from dialects.volcengine.errors import ServiceError
from gpu_runner.protocol import Picture
from jobs.errors import InvalidImage
from jobs.images.fetch import PictureFetcher
from jobs.images.storage import check_picture

from .json_body import Body

FORMATS = ("JPEG", "PNG")
MAX_BYTES = 5 * 1024 * 1024
MAX_SIDE = 4096
MAX_RATIO = 3


@dataclass(frozen=True)
class InputPicture:
    data: bytes
    width: int
    height: int

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def named(self) -> Picture:
        return Picture(sha256=self.sha256)


def read_pictures(body: Body, source: BusinessSource, most: int = 1) -> list[InputPicture]:
    """Where both are sent, base64 counts. An empty list is none; a list of an empty text has an empty picture."""
    inline, urls = body.texts("binary_data_base64"), body.texts("image_urls")
    if not inline and not urls and body.text("image_url"):
        urls = [body.text("image_url")]
    name, given = ("binary_data_base64", inline) if inline else ("image_urls", urls)
    if not given:
        raise ServiceError(50201, _("one of binary_data_base64 and image_urls is required"))
    if len(given) > most:
        words = {"name": name, "most": most}
        raise ServiceError(50200, _("%(name)s may have no more pictures than %(most)d") % words)
    if not all(text.strip() for text in given):
        raise ServiceError(50206)
    return [_checked(_decoded(text) if inline else _fetched(text, source)) for text in given]


def _decoded(text: str) -> bytes:
    """With a data: prefix it is no base64; the vendor says so, too."""
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ServiceError(50207) from None
    if not data:
        raise ServiceError(50206)
    return data


def _fetched(url: str, source: BusinessSource) -> bytes:
    if not settings.INPUT_URLS:
        raise ServiceError(50200, _("pictures are not fetched by URL here"))
    return PictureFetcher(source)(url)


def _checked(data: bytes) -> InputPicture:
    if len(data) > MAX_BYTES:
        raise ServiceError(50205, _("a picture may have %(limit)d MB") % {"limit": MAX_BYTES >> 20})
    try:
        check_picture(data)
    except InvalidImage:
        raise ServiceError(50207) from None
    with Image.open(io.BytesIO(data)) as picture:
        file_format, (width, height) = picture.format, picture.size
    if file_format not in FORMATS:
        raise ServiceError(50207, _("send JPEG or PNG"))
    if max(width, height) > MAX_SIDE:
        raise ServiceError(50205, _("a side may have %(limit)d pixels") % {"limit": MAX_SIDE})
    if max(width, height) > MAX_RATIO * min(width, height):
        raise ServiceError(50205, _("a side may be %(limit)d times the other") % {"limit": MAX_RATIO})
    return InputPicture(data, width, height)
