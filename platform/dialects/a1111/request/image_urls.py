"""Pictures that a request names by URL, fetched and put in their place as base64, which is what the rest reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings

from access.models import BusinessSource
from dialects.a1111.errors import WireError
from dialects.a1111.schema import images
from jobs.errors import ForbiddenAddress, OverLimit, Refused
from jobs.images.fetch import PictureFetcher

# Wherever they are: also in ControlNet's units, and in the list of the extras.
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


def followed(body: dict[str, Any], source: BusinessSource) -> dict[str, Any]:
    """The body with no URL in it. All its pictures together may take the time of one."""
    return _walked(body, "", _Fetcher(source)) if settings.INPUT_URLS else body


def _walked(value: Any, name: str, fetched: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {key: _walked(item, key, fetched) for key, item in value.items()}
    if isinstance(value, list):
        return [_walked(item, name, fetched) for item in value]
    return fetched(value) if name in NAMES and images.is_url(value) else value


class _Fetcher:
    def __init__(self, source: BusinessSource) -> None:
        self.fetch = PictureFetcher(source)

    def __call__(self, url: str) -> str:
        try:
            return images.encode(self.fetch(url))
        except OverLimit as refused:
            raise WireError(422, detail=refused.message) from None
        except ForbiddenAddress as refused:
            message = "Request to local resource not allowed"
            raise WireError(500, detail=message, errors=refused.message) from None
        except Refused as refused:
            raise WireError(500, detail="Invalid image url", errors=refused.message) from refused
