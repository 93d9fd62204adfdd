"""Input images of a request: URLs (also of this platform's outputs), data URIs, and bare base64 with ``base64: yes``."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

from django.conf import settings
from django.utils.translation import gettext as _

from access.models import BusinessSource
from dialects.stablediffusionapi.errors import Message, WireError
from gpu_runner.protocol import InputImage
from jobs.errors import InvalidImage, Refused
from jobs.images.fetch import ImageFetcher
from jobs.images.input_files import check_image, read_size
from jobs.images.local_urls import own_image

UNREACHABLE = "Unable to fetch image from provided URL"
DATA_URI = re.compile(r"data:[\w.+/-]*(;[\w=.-]+)*;base64,", re.IGNORECASE)


class InputImages:
    """Reads the input images of one request. ``files`` has their content by SHA-256."""

    def __init__(self, source: BusinessSource, base_url: str, *, bare: bool) -> None:
        self.files: dict[str, bytes] = {}
        self._base_url = base_url
        self._bare = bare
        self._fetch = ImageFetcher(source)

    def take(self, name: str, text: str) -> InputImage:
        """The image of a field's value; ``name`` is the field, for the message. Raises WireError."""
        data = self._download(name, text) if is_url(text) else decode_image(name, text, bare=self._bare)
        return self.add(data)

    def add(self, data: bytes) -> InputImage:
        """An image that this platform made of another one."""
        digest = hashlib.sha256(data).hexdigest()
        self.files[digest] = data
        return InputImage(sha256=digest)

    def drop(self, reference: InputImage) -> None:
        """Leave out an image that only others are made of."""
        self.files.pop(reference.sha256, None)

    def size_of(self, reference: InputImage) -> tuple[int, int]:
        """Width and height in pixels."""
        return read_size(self.files[reference.sha256])

    def _download(self, name: str, url: str) -> bytes:
        try:
            local = own_image(url, self._base_url)
            if local is not None:
                return local
            if settings.INPUT_URLS:
                return self._fetch(url)
        except Refused as refused:
            raise unusable(UNREACHABLE, name, refused.message) from refused
        raise unusable(UNREACHABLE, name, _("image URLs are disabled on this server."))


def is_url(text: str) -> bool:
    return text.lower().startswith(("http://", "https://"))


def decode_image(name: str, text: str, *, bare: bool) -> bytes:
    """The content of a data URI, or with ``bare`` also of plain base64. Raises WireError if it is no image."""
    prefix = DATA_URI.match(text)
    if prefix is None and not bare:
        raise WireError.invalid({name: [f"The {name.replace('_', ' ')} must be a valid URL."]})
    try:
        data = base64.b64decode(text[prefix.end() if prefix else 0 :])
        check_image(data)
    except (binascii.Error, ValueError):
        raise not_an_image(name, _("not valid base64.")) from None
    except InvalidImage as refused:
        raise not_an_image(name, refused.message) from None
    return data


def not_an_image(name: str, reason: str) -> WireError:
    """The error of a field whose value is not a usable image."""
    return unusable({name: [f"The {name.replace('_', ' ')} must be an image."]}, name, reason)


def unusable(message: Message, name: str, reason: str) -> WireError:
    """The vendor's message, with the field and the reason in its field ``tip``."""
    return WireError(400, message, tip=f"{name}: {reason}")


def without_content(text: str) -> str:
    """The value to store and to repeat in responses: a URL unchanged, or an empty string for inline content."""
    return text if is_url(text) else ""
