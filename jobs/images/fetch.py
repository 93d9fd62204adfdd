"""Pictures that a request names by URL."""

from __future__ import annotations

import time
from dataclasses import replace

from django.utils.translation import gettext as _

from access.models import BusinessSource
from jobs.errors import OverLimit
from jobs.outbound.connections import Resolve, resolve
from jobs.outbound.http import fetch
from jobs.outbound.policy import Policy

from .storage import check_picture

SHORTEST_S = 0.001


def fetch_picture(url: str, policy: Policy, resolve: Resolve = resolve) -> bytes:
    """Raises BadURL, ForbiddenAddress, FetchFailed, or BadPicture for whatever the picture decoder does not know."""
    data = fetch(url, policy, resolve)
    check_picture(data)
    return data


class PictureFetcher:
    """Fetches the pictures of one request: all together may take the time of one, and be as many as may be drawn."""

    def __init__(self, source: BusinessSource) -> None:
        self._policy = Policy.of(source)
        self._deadline = time.monotonic() + self._policy.total_s
        self._left = source.max_images

    def __call__(self, url: str) -> bytes:
        """Raises Refused, as ``fetch_picture``, or OverLimit."""
        self._left -= 1
        if self._left < 0:
            message = _("The request names more pictures by URL than its source may draw.")
            raise OverLimit(message, field="init_images")
        left = max(SHORTEST_S, self._deadline - time.monotonic())
        return fetch_picture(url, replace(self._policy, total_s=left))
