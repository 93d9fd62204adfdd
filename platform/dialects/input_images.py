"""Input images of one request, as files, base64, data URIs or URLs, for dialects that take all of them."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import re
from collections.abc import Iterator

from django.conf import settings
from django.utils.translation import gettext as _

from access.models import BusinessSource
from gpu_runner.protocol import InputImage
from jobs.errors import BadURL, InvalidImage, Refused
from jobs.images.fetch import ImageFetcher
from jobs.images.input_files import check_image, read_size
from jobs.images.local_urls import own_image

DATA_URI = re.compile(r"data:[\w.+/-]*(;[\w=.-]+)*;base64,", re.IGNORECASE)
URL_SCHEMES = ("http://", "https://")
MAX_STORED_URL = 2000  # characters


class InputImages:
    """Reads the input images of a request. ``files`` has their content by SHA-256.

    ``base_url``: of this platform, whose own image URLs are read from storage. Each method takes the field's name in
    the dialect, which a refusal then names.
    """

    def __init__(self, source: BusinessSource, base_url: str) -> None:
        self.files: dict[str, bytes] = {}
        self._base_url, self._source = base_url, source
        self._fetch = ImageFetcher(source)
        self._by_url: dict[str, InputImage] = {}

    def fetch_at_most(self, images: int) -> None:
        """Allow so many URLs, in place of the source's number of images per job."""
        self._fetch = ImageFetcher(self._source, max_images=images)

    def add(self, field: str, data: bytes) -> InputImage:
        """Add the content of an image file. Raises InvalidImage."""
        with _located(field):
            check_image(data)
        digest = hashlib.sha256(data).hexdigest()
        self.files[digest] = data
        return InputImage(sha256=digest)

    def take(self, field: str, text: str) -> InputImage:
        """Add the image of a URL, a data URI or plain base64. Raises Refused."""
        if not is_url(text):
            return self.add(field, decoded(field, text))
        if text not in self._by_url:
            with _located(field):
                data = self._download(text)
            self._by_url[text] = self.add(field, data)
        return self._by_url[text]

    def size_of(self, image: InputImage) -> tuple[int, int]:
        """Width and height of the upright image in pixels."""
        return read_size(self.files[image.sha256])

    def _download(self, url: str) -> bytes:
        local = own_image(url, self._base_url)
        if local is not None:
            return local
        if not settings.INPUT_URLS:
            raise BadURL(_("Image URLs are disabled on this server."))
        return self._fetch(url)


def is_url(text: str) -> bool:
    return text.lower().startswith(URL_SCHEMES)


def decoded(field: str, text: str) -> bytes:
    """The bytes of a data URI or of plain base64. Raises InvalidImage."""
    prefix = DATA_URI.match(text)
    encoded = "".join(text[prefix.end() if prefix else 0 :].split())
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data:
        raise InvalidImage(_("Must be an image: a URL, a data URI or base64."), field=field)
    return data


def stored_form(text: str, image: InputImage) -> str:
    """What the job stores of a field's value: short URLs as sent, else the hash that ``jobs.api_reference.job_calls`` replaces."""
    return text if is_url(text) and len(text) <= MAX_STORED_URL else f"sha256:{image.sha256}"


@contextlib.contextmanager
def _located(field: str) -> Iterator[None]:
    try:
        yield
    except Refused as refused:
        refused.field = field
        raise
