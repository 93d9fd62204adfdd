"""The pictures of a request: URLs, this platform's own among them, data URIs, and bare base64 where that is announced."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re

from django.conf import settings
from PIL import Image

from access.models import BusinessSource
from dialects.stablediffusionapi.errors import WireError
from gpu_runner.protocol import Picture
from jobs.errors import InvalidImage, Refused
from jobs.images.fetch import PictureFetcher
from jobs.images.local_urls import own_picture
from jobs.images.storage import check_picture

UNREACHABLE = "Unable to fetch image from provided URL"
DATA_URI = re.compile(r"data:[\w.+/-]*(;[\w=.-]+)*;base64,", re.IGNORECASE)


class Pictures:
    """Reads them; ``files`` has all of them by their SHA-256."""

    def __init__(self, source: BusinessSource, base_url: str, *, bare: bool) -> None:
        self.files: dict[str, bytes] = {}
        self._base_url = base_url
        self._bare = bare
        self._from_outside = PictureFetcher(source)

    def take(self, name: str, text: str) -> Picture:
        """``name`` is the field's, for the message. Raises WireError."""
        data = self._fetched(text) if is_url(text) else decoded(name, text, bare=self._bare)
        digest = hashlib.sha256(data).hexdigest()
        self.files[digest] = data
        return Picture(sha256=digest)

    def size_of(self, picture: Picture) -> tuple[int, int]:
        with Image.open(io.BytesIO(self.files[picture.sha256])) as opened:
            return opened.size

    def _fetched(self, url: str) -> bytes:
        try:
            own = own_picture(url, self._base_url)
            if own is not None:
                return own
            if settings.INPUT_URLS:
                return self._from_outside(url)
        except Refused:
            pass
        raise WireError(400, UNREACHABLE)


def is_url(text: str) -> bool:
    return text.lower().startswith(("http://", "https://"))


def decoded(name: str, text: str, *, bare: bool) -> bytes:
    """Raises WireError for what is no picture."""
    head = DATA_URI.match(text)
    if head is None and not bare:
        raise WireError.invalid({name: [f"The {name.replace('_', ' ')} must be a valid URL."]})
    try:
        data = base64.b64decode(text[head.end() if head else 0 :])
        check_picture(data)
    except (binascii.Error, ValueError, InvalidImage):
        raise WireError.invalid({name: [f"The {name.replace('_', ' ')} must be an image."]}) from None
    return data


def shown(text: str) -> str:
    """What an answer says of it: a URL as it came; nothing of what was sent in the request itself."""
    return text if is_url(text) else ""
