"""Input images of a request, as base64 or by URL, within the vendor's limits."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext as _

from access.models import BusinessSource
from dialects.volcengine.errors import ServiceError
from gpu_runner.protocol import InputImage
from jobs.errors import Refused
from jobs.images.fetch import ImageFetcher
from jobs.images.input_files import check_image, opened, read_size

from .json_body import Body

FORMATS = ("JPEG", "PNG")
MAX_BYTES = 5 * 1024 * 1024
MAX_SIDE = 4096  # pixels
MAX_RATIO = 3  # of the long side to the short one


@dataclass(frozen=True)
class ImageFile:
    """A checked input image: its file, and its size in pixels."""

    data: bytes
    width: int
    height: int

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def reference(self) -> InputImage:
        """The image as a GenerationRequest names it."""
        return InputImage(sha256=self.sha256)


def read_images(body: Body, source: BusinessSource, base_url: str, max_images: int = 1) -> list[ImageFile]:
    """The images of ``binary_data_base64``, or else of ``image_urls``: 1 to ``max_images``.

    Raises ServiceError: 50201 if there is none, 50200 if there are too many, 50206 if one is empty, 50207 if one
    cannot be decoded, 50205 if one is too large.
    """
    inline, urls = body.texts("binary_data_base64"), body.texts("image_urls")
    if not inline and not urls and body.text("image_url"):
        urls = [body.text("image_url")]
    name, given = ("binary_data_base64", inline) if inline else ("image_urls", urls)
    if not given:
        raise ServiceError(50201, _("one of binary_data_base64 and image_urls is required"))
    if len(given) > max_images:
        values = {"name": name, "limit": max_images, "count": len(given)}
        raise ServiceError(50200, _("%(name)s must have at most %(limit)d images (got %(count)d)") % values)
    if not all(text.strip() for text in given):
        raise ServiceError(50206)
    fetch = ImageFetcher(source, base_url)
    found = []
    for index, text in enumerate(given):
        try:
            found.append(_checked(_decoded(text) if inline else _fetched(text, fetch)))
        except Refused as refused:
            raise ServiceError.of(refused, f"{name}[{index}]") from refused
        except ServiceError as error:
            raise error.at(f"{name}[{index}]") from None
    return found


def _decoded(text: str) -> bytes:
    """Plain base64. A ``data:`` prefix is an error, as in the original API."""
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ServiceError(50207, _("not plain base64")) from None
    if not data:
        raise ServiceError(50206)
    return data


def _fetched(url: str, fetch: ImageFetcher) -> bytes:
    if not settings.INPUT_URLS:
        raise ServiceError(50200, _("image URLs are disabled on this server; send base64"))
    return fetch(url)


def _checked(data: bytes) -> ImageFile:
    if len(data) > MAX_BYTES:
        raise ServiceError(50205, _("image exceeds %(limit)d MB") % {"limit": MAX_BYTES >> 20})
    check_image(data)
    with opened(data) as image:
        file_format = image.format
    width, height = read_size(data)
    if file_format not in FORMATS:
        raise ServiceError(50207, _("the image must be JPEG or PNG"))
    if max(width, height) > MAX_SIDE:
        raise ServiceError(50205, _("image side exceeds %(limit)d pixels") % {"limit": MAX_SIDE})
    if max(width, height) > MAX_RATIO * min(width, height):
        raise ServiceError(50205, _("image aspect ratio exceeds %(limit)d:1") % {"limit": MAX_RATIO})
    return ImageFile(data, width, height)
