"""Pictures that a request names by URL."""

from __future__ import annotations

from jobs.pictures import check_picture

from .calls import fetch
from .connections import Resolve, resolve
from .policy import Policy


def fetch_picture(url: str, policy: Policy, resolve: Resolve = resolve) -> bytes:
    """Raises BadURL, ForbiddenAddress, FetchFailed, or BadPicture for whatever the picture decoder does not know."""
    data = fetch(url, policy, resolve)
    check_picture(data)
    return data
