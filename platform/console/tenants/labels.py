"""Labels of generated images on the page of a source, with a sample that the code of the outputs draws.

They belong to operators alone (ConsoleAdmin.tenant_fields).
"""

from __future__ import annotations

import functools
import io
from typing import Any
from urllib.parse import urlencode

import numpy as np
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy
from PIL import Image

from access.models import BusinessSource
from console.admin_base.tabs import TabForm
from jobs.images.labels import explicit
from jobs.images.watermark import drawn

SAMPLE_SIZE = (512, 384)  # width and height
LOOK = ("explicit_label", "label_text", "label_corner", "label_height", "label_opacity")
LABELS = (
    gettext_lazy("Labels of generated images"),
    {
        "description": gettext_lazy("Empty: as set for the platform. See docs/labels.md."),
        "classes": ["at-labels"],
        "fields": [
            *LOOK,
            "unlabeled_consent",
            "unlabeled_consent_on",
            "content_producer",
            "content_propagator",
        ],
    },
)


class LookForm(TabForm):
    """The values of the form, checked as they are when it is saved."""

    class Meta:
        model = BusinessSource
        fields = LOOK


def sample_url(source: BusinessSource) -> str:
    """URL of the sample with the stored values."""
    values: dict[str, Any] = {name: getattr(source, name) for name in LOOK}
    stored = {name: value for name, value in values.items() if value not in ("", None)}
    return f"{reverse('console:label_sample')}?{urlencode(stored)}"


def sample(request: HttpRequest) -> HttpResponse:
    """PNG image with the label of the values in the query, if they have one; 422 with the reasons if they are not valid."""
    if not request.user.has_perm("access.view_businesssource"):
        raise PermissionDenied
    form = LookForm(request.GET)
    if not form.is_valid():
        reasons = [
            f"{form.fields[name].label}: {' '.join(map(str, errors))}" for name, errors in form.errors.items()
        ]
        return JsonResponse({"detail": " ".join(reasons)}, status=422)
    source = form.instance
    labels = [explicit.of_source(source)] if source.has_explicit_label else []
    image = drawn(_background(), labels)
    return HttpResponse(image, content_type="image/png", headers={"X-Label": "on" if labels else "off"})


@functools.lru_cache(maxsize=1)
def _background() -> bytes:
    """PNG file of a scene with bright and dark parts, so that the legibility of a label can be judged."""
    width, height = SAMPLE_SIZE
    y, x = np.mgrid[0:height, 0:width]
    sky = np.stack([150 + x * 0.2, 180 + y * 0.15, 240 - x * 0.05], axis=-1)
    ground = np.stack([30 + x * 0.3, 60 + x * 0.28, 40 + x * 0.1], axis=-1)
    is_sky = (y < height * 0.62 + np.sin(x / 60) * 18)[..., None]
    buffer = io.BytesIO()
    Image.fromarray(np.where(is_sky, sky, ground).clip(0, 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()
