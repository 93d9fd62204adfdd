"""Fetch images that a request names by URL, and replace the URLs with base64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings

from access.models import BusinessSource
from dialects.a1111.errors import Location, WireError, path_of
from dialects.a1111.schema import images
from jobs.errors import ForbiddenAddress, OverLimit, Refused
from jobs.images.fetch import ImageFetcher
from jobs.images.local_urls import is_own_url

# Field names with images at any depth, including ControlNet units and the list of the extras routes.
NAMES = frozenset(
    {
        "init_images",
        "mask",
        "latent_mask",
        "image",
        "input_image",
        "mask_image",
        "data",
        "effective_region_mask",
    }
    | {"controlnet_input_images", "controlnet_images", "controlnet_masks"}
)


def with_fetched_images(body: dict[str, Any], source: BusinessSource, base_url: str) -> dict[str, Any]:
    """Return the body with image URLs replaced by base64. All fetches share the timeout of a single one.

    ``base_url``: of this platform, whose own image URLs are read from storage, also where others are disabled.
    """
    return _replace_urls(body, "", (), _Fetcher(source, base_url))


def _replace_urls(value: Any, name: str, location: Location, fetch: Callable[[str, Location], str]) -> Any:
    if isinstance(value, dict):
        return {key: _replace_urls(item, key, (*location, key), fetch) for key, item in value.items()}
    if isinstance(value, list):
        return [_replace_urls(item, name, (*location, index), fetch) for index, item in enumerate(value)]
    return fetch(value, location) if name in NAMES and images.is_url(value) else value


class _Fetcher:
    def __init__(self, source: BusinessSource, base_url: str) -> None:
        self._base_url = base_url
        self._fetch = ImageFetcher(source, base_url)

    def __call__(self, url: str, location: Location) -> str:
        if not settings.INPUT_URLS and not is_own_url(url, self._base_url):
            return url  # refused by ``images.decode``
        try:
            return images.encode(self._fetch(url))
        except OverLimit as refused:
            raise WireError(422, detail=refused.message) from None
        except ForbiddenAddress as refused:
            message = "Request to local resource not allowed"
            raise WireError(500, detail=message, errors=_reason(location, refused)) from None
        except Refused as refused:
            raise WireError(500, detail="Invalid image url", errors=_reason(location, refused)) from refused


def _reason(location: Location, refused: Refused) -> str:
    return f"{path_of(location)}: {refused.message}"
