"""The pictures of one request, which this dialect's clients name by URL alone."""

from __future__ import annotations

import hashlib

from django.conf import settings
from django.utils.translation import gettext as _

from access.models import BusinessSource
from dialects.zhiqite.errors import WireError
from gpu_runner.protocol import Picture
from jobs.images.fetch import PictureFetcher


class Inputs:
    """``files`` has what was fetched, by its SHA-256."""

    def __init__(self, source: BusinessSource) -> None:
        self.files: dict[str, bytes] = {}
        self._fetch = PictureFetcher(source)
        self._known: dict[str, Picture] = {}

    def fetched(self, url: str) -> Picture:
        """Raises Refused, or WireError where fetching is turned off."""
        if url not in self._known:
            if not settings.INPUT_URLS:
                raise WireError(_("Pictures are not fetched by URL here."))
            self._known[url] = self.kept(self._fetch(url))
        return self._known[url]

    def kept(self, data: bytes) -> Picture:
        digest = hashlib.sha256(data).hexdigest()
        self.files[digest] = data
        return Picture(sha256=digest)
