"""Input images, which this API takes by URL."""

from __future__ import annotations

from django.conf import settings
from django.utils.translation import gettext as _

from access.models import BusinessSource
from dialects.smzdm.errors import Code, WireError
from jobs.errors import Refused
from jobs.images import fetch
from jobs.outbound.policy import Policy


def fetch_image(field: str, url: str, source: BusinessSource) -> bytes:
    """The image file at the URL of a field. Raises WireError."""
    if not settings.INPUT_URLS:
        raise WireError(
            Code.UNSUPPORTED, _("%(field)s: image URLs are disabled on this server.") % {"field": field}
        )
    try:
        return fetch.fetch_image(url, Policy.of(source))
    except Refused as refused:
        raise WireError(Code.IMAGE, f"{field}: {refused.message}") from refused
