"""Input images of a request. In this dialect they are always given by URL."""

from __future__ import annotations

import hashlib

from django.conf import settings
from django.utils.translation import gettext as _

from access.models import BusinessSource
from dialects.zhiqite.errors import WireError
from gpu_runner.protocol import InputImage
from jobs.errors import Refused
from jobs.images.fetch import ImageFetcher
from jobs.images.input_files import read_size
from telemetry import counters


class InputImages:
    """Fetches the input images of one request, each URL once. ``files`` has their content by SHA-256.

    ``base_url``: of this platform, whose own image URLs are read from storage.
    """

    def __init__(self, source: BusinessSource, base_url: str) -> None:
        self.files: dict[str, bytes] = {}
        self._fetch = ImageFetcher(source, base_url)
        self._by_url: dict[str, InputImage] = {}

    def fetch(self, field: str, url: str) -> InputImage:
        """The image at the URL of a field. Raises WireError, which names the field."""
        if url not in self._by_url:
            if not settings.INPUT_URLS:
                raise WireError(_("Image URLs are disabled on this server."))
            try:
                self._by_url[url] = self.add(self._fetch(url))
            except Refused as refused:
                counters.refusals.labels(dialect="zhiqite", reason=refused.code).inc()
                raise WireError(f"{field}: {refused.message}") from refused
        return self._by_url[url]

    def size_of(self, reference: InputImage) -> tuple[int, int]:
        """Width and height of the upright image in pixels. Raises Refused."""
        return read_size(self.files[reference.sha256])

    def add(self, data: bytes) -> InputImage:
        """Add the content of an image file; returns its reference."""
        digest = hashlib.sha256(data).hexdigest()
        self.files[digest] = data
        return InputImage(sha256=digest)
