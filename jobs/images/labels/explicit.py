"""Explicit labels: the visible texts of one image, merged from its source and its request. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from django.conf import settings

from access.models import BusinessSource
from access.source_settings.image_labels import MAX_HEIGHT, MIN_HEIGHT, Corner, says_generated_by_ai
from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.request_parts.outputs import Label

from .implicit import is_generated


@dataclass(frozen=True)
class Lettering:
    """A text in a corner. ``height``: of its letters, as a fraction of the shorter side.

    A required one is never drawn smaller, and its opacity is raised until it is legible.
    """

    text: str
    corner: str
    opacity: float
    height: float = MIN_HEIGHT / 100
    required: bool = False


def letterings(
    source: BusinessSource, request: GenerationRequest, labels: Sequence[Label]
) -> list[Lettering]:
    """What is drawn on an output: the labels of the request, and the source's.

    A label of the request that has the required words takes the place of the source's.
    """
    own = [Lettering(label.text, label.corner, label.opacity) for label in labels]
    if not source.has_explicit_label or not is_generated(request):
        return own
    required = of_source(source)
    for index, label in enumerate(own):
        if says_generated_by_ai(label.text):
            own[index] = replace(label, height=required.height, required=True)
            return own
    taken = {label.corner for label in own}
    corners = [required.corner, *Corner.values]
    free = next((corner for corner in corners if corner not in taken), required.corner)
    return [*own, replace(required, corner=free)]


def override_warning(source: BusinessSource, request: GenerationRequest, given: str) -> str:
    """What is returned for ``given``, a field of a request that asks for no label; empty if there is none.

    In ASCII, because dialects return it in a header.
    """
    if not source.has_explicit_label or not is_generated(request):
        return ""
    return f"{given} is overridden: the images of this source have a visible label"


def of_source(source: BusinessSource) -> Lettering:
    height = source.label_height or settings.LABEL_HEIGHT
    return Lettering(
        text=source.label_text or settings.LABEL_TEXT,
        corner=source.label_corner or settings.LABEL_CORNER,
        opacity=source.label_opacity or settings.LABEL_OPACITY,
        height=min(max(height, MIN_HEIGHT), MAX_HEIGHT) / 100,
        required=True,
    )


def later(source: BusinessSource, request: GenerationRequest, labels: Sequence[Label]) -> list[Lettering]:
    """What a request adds to an output after generation: not the required words once more, nor over them."""
    has = {label.corner for label in letterings(source, request, request.labels) if label.required}
    added: list[Lettering] = []
    for label in labels:
        if has and says_generated_by_ai(label.text):
            continue
        free = [corner for corner in (label.corner, *Corner.values) if corner not in has]
        added.append(Lettering(label.text, free[0], label.opacity))
    return added
