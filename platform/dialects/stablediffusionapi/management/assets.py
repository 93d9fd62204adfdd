"""assets_generated: the images and videos that a source has generated through this API, in pages, newest first."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

from access.models import BusinessSource
from dialects.stablediffusionapi.authentication import DIALECT
from dialects.stablediffusionapi.coercion import Coercion, Invalid, between, integer, is_absent, one_of
from dialects.stablediffusionapi.errors import WireError
from dialects.stablediffusionapi.request.fields import field_label
from jobs.images.signed_urls import output_url
from jobs.models import Backend, Output, OutputKind

IMAGES = ("image", "images")
VIDEOS = ("video", "videos")
OTHER_TYPES = ("voice", "audio", "3d")  # valid, but nothing here generates them
PER_PAGE, MAX_PER_PAGE, MAX_PAGE = 10, 100, 1_000_000
FIELDS: dict[str, tuple[Coercion, Any]] = {
    "type": (one_of(*IMAGES, *VIDEOS, *OTHER_TYPES), IMAGES[0]),
    "per_page": (between(integer, 1, MAX_PER_PAGE), PER_PAGE),
    "page": (between(integer, 1, MAX_PAGE), 1),
}


def page_of(
    source: BusinessSource, given: Mapping[str, Any], base_url: str
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Rows of the page, and the pagination. Raises WireError."""
    values = _parsed(given)
    outputs = Output.objects.none()
    if values["type"] not in OTHER_TYPES:
        outputs = Output.objects.filter(job__source=source, job__dialect=DIALECT, kind=OutputKind.IMAGE)
        outputs = outputs.filter(frames__isnull=values["type"] in IMAGES)
        outputs = outputs.exclude(
            job__backend=Backend.TRAINING
        )  # samples of trainings are no generated images
    total, size = outputs.count(), values["per_page"]
    first = (values["page"] - 1) * size
    newest = outputs.select_related("job__source", "job__checkpoint").order_by("-job__created_at", "index")
    rows = [_row(output, base_url) for output in newest[first : first + size]]
    return rows, {
        "total": total,
        "per_page": size,
        "current_page": values["page"],
        "last_page": max(1, ceil(total / size)),
    }


def _parsed(given: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    errors: dict[str, list[str]] = {}
    for name, (coerce, default) in FIELDS.items():
        try:
            values[name] = default if is_absent(given.get(name)) else coerce(given[name])
        except Invalid as invalid:
            errors[name] = [f"The {field_label(name)} {invalid.reason}"]
    if errors:
        raise WireError.invalid(errors)
    return values


def _row(output: Output, base_url: str) -> dict[str, Any]:
    job = output.job
    return {
        "id": int(job.external_id),
        "type": "video" if output.frames else "image",
        "url": output_url(output, base_url),
        "prompt": job.generation_request.prompt,
        "model_id": job.checkpoint.name if job.checkpoint else None,
        "width": output.width,
        "height": output.height,
        "created_at": job.created_at.isoformat(),
    }
