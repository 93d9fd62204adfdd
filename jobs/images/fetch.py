"""Download of input images given by URL."""

from __future__ import annotations

import time
from dataclasses import replace

from django.utils.translation import gettext as _

from access.models import BusinessSource
from jobs.errors import OverLimit
from jobs.outbound.connections import Resolve, resolve
from jobs.outbound.http import fetch
from jobs.outbound.policy import Policy

from .input_files import check_image
from .local_urls import own_image

SHORTEST_S = 0.001


def fetch_image(url: str, policy: Policy, resolve: Resolve = resolve) -> bytes:
    """Download and check one image. Raises BadURL, ForbiddenAddress, FetchFailed or InvalidImage."""
    data = fetch(url, policy, resolve)
    check_image(data)
    return data


class ImageFetcher:
    """Downloads the images of one request. The deadline and ``max_images`` apply to all together.

    ``base_url``: of this platform, whose own image URLs are read from storage; empty: they are downloaded like others.
    """

    def __init__(self, source: BusinessSource, base_url: str = "", max_images: int | None = None) -> None:
        """``max_images``: None: the source's number of images per job."""
        self._base_url = base_url
        self._policy = Policy.of(source)
        self._deadline = time.monotonic() + self._policy.total_s
        self._max_images = self._left = source.max_images if max_images is None else max_images

    def __call__(self, url: str) -> bytes:
        """Download one image. Raises OverLimit, or Refused as ``fetch_image``."""
        self._left -= 1
        if self._left < 0:
            message = _("At most %(limit)d images may be given by URL.") % {"limit": self._max_images}
            raise OverLimit(message, field="init_images")
        if self._base_url and (own := own_image(url, self._base_url)) is not None:
            return own
        left = max(SHORTEST_S, self._deadline - time.monotonic())
        return fetch_image(url, replace(self._policy, total_s=left))
