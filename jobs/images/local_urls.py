"""Pictures that a request names by a URL of this platform: read from storage, because its own host may not be called."""

from __future__ import annotations

from django.http import Http404
from django.urls import Resolver404, resolve
from django.utils.translation import gettext as _

from jobs.errors import BadURL

from .signed_urls import ROUTES
from .storage import read_output
from .views import found_input, found_output

OUTPUTS = frozenset(name for name, _what in ROUTES.values())


def own_picture(url: str, base_url: str) -> bytes | None:
    """None for a stranger's URL. Raises BadURL for one of ours that is forged, has ended, or names no picture."""
    bare = url.partition("#")[0].partition("?")[0]
    if not bare.startswith(base_url + "/"):
        return None
    try:
        match = resolve(bare.removeprefix(base_url))
        if match.url_name in OUTPUTS:
            return read_output(found_output(**match.kwargs)[0])
        if match.url_name == "picture-input":
            with found_input(**match.kwargs)[0].file.open("rb") as file:
                return file.read()
    except (Resolver404, Http404, FileNotFoundError):
        pass
    raise BadURL(_("There is no picture at this address."))
