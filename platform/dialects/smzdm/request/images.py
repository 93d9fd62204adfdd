"""Input images, which this API takes by URL."""

from __future__ import annotations

from django.conf import settings
from django.utils.translation import gettext as _

from access.models import BusinessSource
from dialects.smzdm.errors import Code, WireError
from jobs.errors import Refused
from jobs.images.fetch import ImageFetcher


def fetch_image(field: str, url: str, source: BusinessSource, base_url: str) -> bytes:
    """The image file at the URL of a field, which may be one of this platform's. Raises WireError."""
    if not settings.INPUT_URLS:
        raise WireError(
            Code.UNSUPPORTED, _("%(field)s: image URLs are disabled on this server.") % {"field": field}
        )
    try:
        return ImageFetcher(source, base_url)(url)
    except Refused as refused:
        raise WireError(Code.IMAGE, f"{field}: {refused.message}") from refused
