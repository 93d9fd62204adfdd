"""Input images given by URLs of this platform: read from storage, as its own host may not be requested."""

from __future__ import annotations

from django.http import Http404
from django.urls import Resolver404, resolve
from django.utils.translation import gettext as _

from jobs.errors import BadURL

from .signed_urls import ROUTES
from .storage import read_output
from .views import found_input, found_output

OUTPUTS = frozenset(name for name, _subject in ROUTES.values())


def is_own_url(url: str, base_url: str) -> bool:
    """Whether the URL is one of this platform, which ``own_image`` reads."""
    return url.startswith(base_url + "/")


def own_image(url: str, base_url: str) -> bytes | None:
    """Read the image of a URL of this platform; None for other hosts.

    Raises BadURL if the URL is forged or expired, or if there is no such image.
    """
    if not is_own_url(url, base_url):
        return None
    try:
        match = resolve(url.partition("#")[0].partition("?")[0].removeprefix(base_url))
        if match.url_name in OUTPUTS:
            return read_output(found_output(**match.kwargs)[0])
        if match.url_name == "picture-input":
            with found_input(**match.kwargs)[0].file.open("rb") as file:
                return file.read()
    except (Resolver404, Http404, FileNotFoundError):
        pass
    raise BadURL(_("No image was found at this URL. It may be invalid or expired."))
